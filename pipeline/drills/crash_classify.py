"""The crash points of a classify process.

_take ─ after fetch ─► classify ─ after decide ─► dead letters ─► append ─ sent, acked ─► next offset ─ before ack ─► commit
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from faust.types import TP

from pipeline.codec.decode import Decoded
from pipeline.codec.headers import HeaderList
from pipeline.dedup.decide import Memory
from pipeline.drills.seams import Function, wrap
from pipeline.drills.switches import Switches
from pipeline.faustlib import app as faust_app
from pipeline.faustlib import consumer as faust_consumer
from pipeline.faustlib.app import LogApp
from pipeline.faustlib.fetch import Fetch
from pipeline.log import restore
from pipeline.log.append import Appender
from pipeline.log.batch import PlaysRecord
from pipeline.log.read import Record
from pipeline.rules import Rules
from pipeline.topics import topics_of
from pipeline.workers import classify
from pipeline.workers.classify import ClassifyLane

ON_ITS_WAY_S = 0.002
"""After librdkafka has the record: about as long as a broker on the same machine takes, so that either may come first."""


@dataclass(slots=True)
class _Letters:
    """The dead letters of one batch: how many were begun, and whether the first is acknowledged."""

    begun: int = 0
    one_acked: asyncio.Event = field(default_factory=asyncio.Event)


_letters: ContextVar[_Letters] = ContextVar("letters")


def install(switches: Switches) -> None:
    """Raises RefusedError where a seam has moved."""
    _at_work(switches)
    _appending(switches)
    _in_the_group(switches)


def _at_work(switches: Switches) -> None:
    def taking(take: Function) -> Function:
        async def reached(self: ClassifyLane, fetch: Fetch) -> None:
            switches.reach("after fetch")
            await take(self, fetch)

        return reached

    def deciding(decide: Function) -> Function:
        def reached(memory: Memory, decoded: Decoded, rules: Rules) -> PlaysRecord:
            record: PlaysRecord = decide(memory, decoded, rules)
            switches.reach("after decide")
            return record

        return reached

    def counting(count: Function) -> Function:
        def reached(self: ClassifyLane, part: Decoded, record: PlaysRecord) -> None:
            switches.reach("before ack")  # called right after the next offset moved, and a commit can't come between
            count(self, part, record)

        return reached

    def folding(fold: Function) -> Function:
        def reached(memory: Memory, record: Record, rules: Rules, watermark: int) -> None:
            if memory.next_offset > 0:
                switches.reach("during restore")
            fold(memory, record, rules, watermark)

        return reached

    wrap(ClassifyLane, "_take", taking)
    wrap(classify, "classify", deciding)
    wrap(ClassifyLane, "_count", counting)
    wrap(restore, "_fold", folding)


def _appending(switches: Switches) -> None:
    topics = topics_of(switches.settings)

    def writing(write: Function) -> Function:
        async def marked(self: ClassifyLane, fetch: Fetch, decoded: Decoded) -> None:
            _letters.set(_Letters())
            await write(self, fetch, decoded)

        return marked

    def around(append: Function) -> Function:
        async def appended(
            self: Appender, topic: str, partition: int, value: bytes | None, headers: HeaderList, **more: Any
        ) -> int:
            work = append(self, topic, partition, value, headers, **more)
            if topic == topics.plays.name:
                return await _outcomes(switches, work)
            if topic == topics.dlq.name:
                return await _letter(switches, work)
            return int(await work)

        return appended

    wrap(ClassifyLane, "_write_dead_letters", writing)
    wrap(Appender, "append", around)


async def _outcomes(switches: Switches, work: Awaitable[int]) -> int:
    if switches.is_armed("after append sent"):
        sending = asyncio.ensure_future(work)
        await asyncio.sleep(ON_ITS_WAY_S)
        switches.reach("after append sent")
        work = sending
    offset = await work
    switches.reach("after append acked")
    return offset


async def _letter(switches: Switches, work: Awaitable[int]) -> int:
    letters = _letters.get()
    letters.begun += 1
    if letters.begun > 1 and switches.is_armed("during a dead-letter write"):
        await letters.one_acked.wait()
        switches.reach("during a dead-letter write")
    offset = await work
    letters.one_acked.set()
    return offset


def _in_the_group(switches: Switches) -> None:
    def committing(commit: Function) -> Function:
        async def reached(self: Any, offsets: dict[TP, int]) -> bool:
            did_commit: bool = await commit(self, offsets)
            if did_commit:
                switches.reach("after commit")
            return did_commit

        return reached

    def dropper(make: Function) -> Function:
        def made(app: LogApp) -> Callable[..., Awaitable[None]]:
            drop = make(app)

            async def reached(app: Any, revoked: Iterable[TP], **more: Any) -> None:
                if revoked:
                    switches.reach("during revoke")
                await drop(app, revoked, **more)

            return reached

        return made

    wrap(faust_consumer.Consumer, "_commit", committing)
    wrap(faust_app, "_dropper", dropper)
