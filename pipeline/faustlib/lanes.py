"""Lanes: one partition each, its state and the batch it is busy with.

fetch ─► lane of its partition ─► take: decode, fold, append, await ─► state moves on ─► committed by the consumer's timer

Rule 4 of docs/design.md: a fetch below the state's next offset is dropped or cut, one above it is sought back, since events
were lost on the way; a gap that shows in the re-fetch too is the log's own.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Protocol

import structlog
from aiokafka.errors import IllegalStateError
from faust.types import TP

from pipeline.faustlib.exit import fail
from pipeline.faustlib.fetch import Fetch

log = structlog.get_logger()
_SEEK_EVERY_S = 1.0
_POSITION_S = 1.0
_STALLED_AFTER = 5
"""Calls of `heal` in which a lane stood still below the consumer's position, until that is taken for a loss."""


class LostStateError(Exception):
    """The lane's state is no longer what the log says (another writer came first): restore it."""


class Lane(Protocol):
    """The state of one partition and what to do with its fetches."""

    @property
    def next_offset(self) -> int:
        """The first offset whose outcome is not yet durable."""

    async def take(self, fetch: Fetch) -> None:
        """Process the fetch from `next_offset` on and make the outcome durable.

        Raises LostStateError where another writer was first. Any other error ends the process.
        """

    async def idle(self) -> None:
        """Called now and then while there is nothing to take. Errors as for `take`."""


class Lanes:
    """The lanes of one app, over all its topics. `openers`: topic → how to restore a lane of it."""

    def __init__(self, openers: Mapping[str, Callable[[int], Awaitable[Lane]]]) -> None:
        self._openers = openers
        self._lanes: dict[TP, Lane] = {}
        self._generation = 0
        self._busy: dict[TP, asyncio.Task[None]] = {}
        self._sought: dict[TP, float] = {}
        self._stood: dict[TP, tuple[int, int]] = {}  # next offset, and for how many calls of `heal`

    async def restore(self, partitions: frozenset[TP]) -> dict[TP, int]:
        """Open the lanes of these partitions; where each goes on. Lanes of other partitions are dropped."""
        self.drop(frozenset(self._lanes) - partitions)
        generation = self._generation
        missing = [tp for tp in partitions if tp not in self._lanes and tp.topic in self._openers]
        opened = await asyncio.gather(*(self._openers[tp.topic](tp.partition) for tp in missing))
        if self._generation != generation:
            return {}  # revoked meanwhile: these states belong to a generation that is over
        self._lanes.update(zip(missing, opened, strict=True))
        return {tp: lane.next_offset for tp, lane in self._lanes.items()}

    def drop(self, partitions: frozenset[TP]) -> None:
        """Forget the states: they belong to a generation of the group that is over. What is at work on them ends where it
        waits: a lane may wait for others, such as a schema registry, for hours, and would keep its memory and the agent."""
        self._generation += 1
        for tp in partitions:
            self._lanes.pop(tp, None)
            if busy := self._busy.pop(tp, None):
                busy.cancel()

    def partitions(self) -> frozenset[TP]:
        return frozenset(self._lanes)

    def next_offset(self, tp: TP) -> int | None:
        lane = self._lanes.get(tp)
        return lane.next_offset if lane else None

    async def serve(self, stream: Any, consumer: Callable[[], Any]) -> None:
        """The body of an agent: each fetch to its lane, one at a time per partition, partitions overlapping."""
        async for event in stream.noack().events():
            tp = event.message.tp
            busy = self._busy.get(tp)
            if busy:
                await asyncio.wait([busy])  # it may be cancelled, which is not for us
            lane = self._lanes.get(tp)
            fetch: Fetch = event.value
            if lane and fetch.next > lane.next_offset:
                if fetch.first > lane.next_offset:
                    await self._seek_back(tp, lane.next_offset, consumer())
                else:
                    self._busy[tp] = asyncio.create_task(self._guard(tp, lane, lane.take(fetch), consumer))
            event.ack()  # only takes it off Faust's books: what is committed is the lane's own account

    async def _guard(self, tp: TP, lane: Lane, work: Coroutine[Any, Any, None], consumer: Callable[[], Any]) -> None:
        try:
            await work
        except LostStateError as error:
            if self._lanes.get(tp) is not lane:
                return  # revoked meanwhile: the state is gone already, and somebody else's task
            log.warning("lost a race, restoring", topic=tp.topic, partition=tp.partition, why=str(error))
            await self.reopen(tp, consumer())
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            fail(error)

    async def reopen(self, tp: TP, consumer: Any) -> None:
        """Restore the lane from the logs and seek to where it goes on. A failure ends the process."""
        self._lanes.pop(tp, None)
        generation = self._generation
        try:
            opened = await self._openers[tp.topic](tp.partition)
        except Exception as error:
            fail(error)
        if self._generation == generation and tp in consumer.assignment():
            self._lanes[tp] = opened
            await _seek(consumer, tp, opened.next_offset)

    async def _seek_back(self, tp: TP, offset: int, consumer: Any) -> None:
        now = time.monotonic()
        if now - self._sought.get(tp, 0.0) < _SEEK_EVERY_S:
            return
        self._sought[tp] = now
        log.warning("events were lost on the way, seeking back", topic=tp.topic, partition=tp.partition, to=offset)
        await _seek(consumer, tp, offset)

    async def heal(self, consumer: Callable[[], Any]) -> None:
        """For a timer. Lanes without work are told so. A loss at the log's end has no next fetch to reveal it: seek back
        where a lane has stood still below the consumer's position."""
        for tp, lane in list(self._lanes.items()):
            if self._is_busy(tp) or tp not in consumer().assignment():
                continue
            offset, calls = self._stood.get(tp, (-1, 0))
            calls = calls + 1 if offset == lane.next_offset else 0
            self._stood[tp] = (lane.next_offset, calls)
            if calls >= _STALLED_AFTER:
                position = await _position(consumer(), tp)
                if position is not None and position > lane.next_offset:
                    await self._seek_back(tp, lane.next_offset, consumer())
                    continue
            if self._lanes.get(tp) is lane and not self._is_busy(tp):
                self._busy[tp] = asyncio.create_task(self._guard(tp, lane, lane.idle(), consumer))

    def _is_busy(self, tp: TP) -> bool:
        busy = self._busy.get(tp)
        return busy is not None and not busy.done()


async def _seek(consumer: Any, tp: TP, offset: int) -> None:
    """Seek; a partition that was revoked meanwhile is somebody else's to seek."""
    with suppress(IllegalStateError):
        if tp in consumer.assignment():
            await consumer.seek_wait({tp: offset})


async def _position(consumer: Any, tp: TP) -> int | None:
    """Where the consumer reads on, or None where that is not known now."""
    with suppress(IllegalStateError, TimeoutError):
        position: int | None = await asyncio.wait_for(consumer.position(tp), _POSITION_S)
        return position
    return None
