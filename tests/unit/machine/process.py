"""A worker process in memory: the real lanes and restores, and as much of Faust's consumer as they see.

It can be killed between any two side effects, be deaf (a zombie: others have its partitions, and it doesn't know), and ends
as the real one does where that would call `os._exit`.
"""

import asyncio
import contextvars
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from faust.types import TP

from pipeline import admin
from pipeline.faustlib import consumer as faust_consumer
from pipeline.faustlib import lanes as faust_lanes
from pipeline.faustlib.fetch import Fetch
from pipeline.faustlib.lanes import Lane, Lanes
from pipeline.settings import Settings
from pipeline.workers import classify, count, rank
from tests.unit.machine.broker import BROKERS, PROCESS, Gate, InFlightAppender, memory_reader
from tests.unit.machine.loop import AtOnce, EndedError

MAKE = {"classify": classify.make_app, "rank": rank.make_app}
Openers = dict[str, Callable[[int], Awaitable[Lane]]]


def _ended(error: BaseException) -> NoReturn:
    PROCESS.get().end(error)
    raise EndedError(error)


@contextmanager
def simulated() -> Iterator[None]:
    """The workers' modules with the broker in memory, and with everything that is rare made frequent."""

    def app(_settings: Settings, _stage: str, openers: Openers, _on_stop: Any) -> Openers:
        return openers

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUST_BACKTRACE", "0")  # the decoder's panics are caught, a trace of each would take most of the time
        for module in (classify, rank):
            patch.setattr(module, "build_app", app)
            patch.setattr(module, "Appender", InFlightAppender)
            patch.setattr(module, "log_reader", memory_reader)
        patch.setattr(admin, "topic_id", lambda _settings, topic: f"id of {topic}")
        patch.setattr(faust_lanes, "fail", _ended)
        patch.setattr(faust_consumer, "fail", _ended)
        patch.setattr(faust_lanes, "_SEEK_EVERY_S", -1.0)
        patch.setattr(faust_lanes, "_STALLED_AFTER", 1)
        patch.setattr(rank, "_PROVISIONAL_EVERY_S", -1.0)
        patch.setattr(classify, "_ROWS_PER_RECORD", 4)
        patch.setattr(classify, "_DECODER", AtOnce(1))
        patch.setattr(count, "_ROWS_PER_RECORD", 2)
        yield


class _Stream:
    """What an agent iterates over: fetches, one at a time."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()

    def noack(self) -> "_Stream":
        return self

    async def events(self) -> AsyncIterator[Any]:
        while True:
            yield await self.queue.get()


class SimulatedConsumer:
    """Positions of a process; restoring, seeking and committing are the real consumer's."""

    perform_seek = faust_consumer.Consumer.perform_seek
    stand_up = faust_consumer.Consumer._stand_up
    new_offset = faust_consumer.Consumer._new_offset

    def __init__(self, process: "Process") -> None:
        self.app = SimpleNamespace(consumer_generation_id=0, announce=lambda: None)
        self.assigned: set[TP] = set()
        self.positions: dict[TP, int] = {}
        self._positions, self._process = process.lanes, process
        self._committed_offset: dict[TP, int] = {}
        self._acked: Any = defaultdict(list)
        self._acked_index: Any = defaultdict(set)

    def assignment(self) -> set[TP]:
        return self.assigned

    async def seek_wait(self, positions: dict[TP, int]) -> None:
        self.positions.update(positions)

    async def position(self, tp: TP) -> int | None:
        return self.positions.get(tp)

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return {tp: self._process.broker.bounds(*tp)[0] for tp in tps}


class Process:
    """One worker of a stage. Raises whatever making its app raises."""

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: Settings, stage: str, name: str) -> None:
        self.name, self.broker, self._loop = name, BROKERS[settings.bootstrap], loop
        self.dead, self.deaf = False, False
        self.error: BaseException | None = None
        self.tasks: set[asyncio.Task[Any]] = set()
        self._context = contextvars.copy_context()
        self._context.run(PROCESS.set, self)
        openers = self._context.run(MAKE[stage], settings)
        self.lanes = Lanes({topic: self._held(opener) for topic, opener in openers.items()})  # type: ignore[attr-defined]
        self.consumer = SimulatedConsumer(self)
        self._streams = {topic: _Stream() for topic in openers}  # type: ignore[attr-defined]
        for stream in self._streams.values():
            self.spawn(self._serve(stream))

    def _held(self, opener: Callable[[int], Awaitable[Lane]]) -> Callable[[int], Awaitable[Lane]]:
        async def held(partition: int) -> Lane:
            lane = await opener(partition)
            answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.broker.pending.append(Gate(self, answer))
            await answer
            return lane

        return held

    async def _serve(self, stream: _Stream) -> None:
        try:
            await self.lanes.serve(stream, lambda: self.consumer)
        except Exception as error:
            _ended(error)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        self._loop.create_task(work, context=self._context)

    def hears_of(self, generation: int, assigned: set[TP], committed: dict[TP, int]) -> None:
        """A rebalance: all was revoked, this is assigned; reading would begin at what is committed."""
        self.lanes.drop(frozenset(self.consumer.assigned))
        self.deaf = False
        self.consumer.app.consumer_generation_id = generation
        self.consumer.assigned = assigned
        self.consumer.positions = {tp: committed[tp] for tp in assigned if tp in committed}
        self.spawn(self.consumer.perform_seek())

    def deliver(self, tp: TP, count: int, skip: int) -> bool:
        """What a fetch brings, with `skip` batches lost before; whether there was anything."""
        position = self.consumer.positions.get(tp)
        if tp not in self.consumer.assigned or position is None:
            return False
        if position < self.broker.bounds(*tp)[0]:
            self.spawn(self.consumer.stand_up({tp: position}))
            return True
        self.consumer.positions[tp], fetch = self.broker.fetch(*tp, position, count, skip)
        if fetch:
            self._put(tp, fetch)
        return fetch is not None

    def _put(self, tp: TP, fetch: Fetch) -> None:
        event = SimpleNamespace(message=SimpleNamespace(tp=tp), value=fetch, ack=lambda: None)
        self._streams[tp.topic].queue.put_nowait(event)

    def lane(self, tp: TP) -> Any:
        return self.lanes._lanes.get(tp)

    def end(self, error: BaseException | None) -> None:
        """No more of its code runs; what it sent is in the broker's hands."""
        if not self.dead:
            self.dead, self.error = True, error
            for task in self.tasks:
                task.cancel()
