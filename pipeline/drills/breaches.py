"""Negative controls: a promise of the design is taken back in one process, and the oracles must find what follows.

The same ones are in tests/unit/machine/test_controls.py, where all is in memory.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np

from pipeline.codec.headers import HeaderError, PlaysHeaders, RawHeaders
from pipeline.dedup import decide
from pipeline.dedup.seen import Seen
from pipeline.drills.crash_points import Stage
from pipeline.drills.seams import Function, wrap
from pipeline.errors import RefusedError
from pipeline.faustlib.lanes import LostStateError
from pipeline.log.batch import PlaysRecord
from pipeline.workers.classify import ClassifyLane

Breach = Literal["no-dedup", "ack-before-append", "at-ignored", "commit-before-insert"]
BREACHES: tuple[Breach, ...] = get_args(Breach)
TIME_TO_COMMIT_S = 1.0
"""Twice the interval of the consumer's commits."""


def no_dedup() -> None:
    def around(_sightings: Function) -> Function:
        def none_seen(_seen: Seen, events: decide.Events, *_rest: Any) -> Any:
            return np.zeros(len(events.offset), np.bool_), events.offset.copy()

        return none_seen

    wrap(decide, "_sightings", around)


def ack_before_append() -> None:
    def around(append: Function) -> Function:
        async def early(self: ClassifyLane, record: PlaysRecord) -> None:
            self._durable = record.last + 1
            await asyncio.sleep(TIME_TO_COMMIT_S)
            await append(self, record)

        return early

    wrap(ClassifyLane, "_append", around)


def at_ignored_by_the_writer() -> None:
    def around(append: Function) -> Function:
        async def anywhere(self: ClassifyLane, record: PlaysRecord) -> None:
            try:
                await append(self, record)
            except LostStateError:
                self._at += 1

        return anywhere

    wrap(ClassifyLane, "_append", around)


def at_ignored_by_readers() -> None:
    def around(_valid_at: Function) -> Function:
        def wherever(cls: type[PlaysHeaders], _offset: int, headers: RawHeaders | None) -> PlaysHeaders | None:
            try:
                return cls.decode(headers)
            except HeaderError:
                return None

        return wherever

    wrap(PlaysHeaders, "valid_at", around)


def commit_before_insert() -> None:
    from pipeline.store.consumer import TopicConsumer  # the store's engine: not for other stages
    from pipeline.store.pending import Pending
    from pipeline.store.positions import Committed
    from pipeline.store.sink import Sink

    def around(flush: Function) -> Function:
        def early(self: Sink, consumer: TopicConsumer, pending: Pending) -> None:
            positions = pending.positions.items()
            consumer.commit({at: Committed(offset, self._reader.metadata(at, offset)) for at, offset in positions})
            flush(self, consumer, pending)

        return early

    wrap(Sink, "_flush", around)


_BREAKS: dict[tuple[Breach, Stage], tuple[Callable[[], None], ...]] = {
    ("no-dedup", "classify"): (no_dedup,),
    ("ack-before-append", "classify"): (ack_before_append,),
    ("at-ignored", "classify"): (at_ignored_by_the_writer, at_ignored_by_readers),
    ("at-ignored", "rank"): (at_ignored_by_readers,),
    ("at-ignored", "store"): (at_ignored_by_readers,),
    ("commit-before-insert", "store"): (commit_before_insert,),
}
TAKEN_BACK: dict[Breach, str] = {
    "no-dedup": "a copy of an event is not looked for: each counts",
    "ack-before-append": f"the position moves {TIME_TO_COMMIT_S:g} s before the outcomes are appended, and may be committed",
    "at-ignored": "a writer takes any offset for the one it expected, a reader any record for valid, wherever it lies",
    "commit-before-insert": "a sink commits its offsets before it inserts the rows",
}


def stages_of(breach: Breach) -> tuple[Stage, ...]:
    """The processes that have such a promise to take back."""
    return tuple(stage for known, stage in _BREAKS if known == breach)


def install(breach: Breach, stage: Stage) -> None:
    """Raises RefusedError where the stage never promised that, or a seam has moved."""
    breaks = _BREAKS.get((breach, stage))
    if breaks is None:
        raise RefusedError(f"{stage} does not promise what {breach} takes back; {', '.join(stages_of(breach))} does")
    for take_back in breaks:
        take_back()
