"""The lifetime of a sink: from its start until it is stopped or dies at one of its side effects.

start ──► poll, poll, … ──► insert a table, insert the next, commit ──► poll, … ──► stop
                            ╰ each: done, refused for now, done but unanswered, or death before or after it
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from pipeline.settings import Settings
from pipeline.store import sink as sink_module
from pipeline.store.positions import Committed, held
from pipeline.store.records import Reader, Record
from pipeline.store.refusals import NotNowError
from pipeline.store.sink import Sink
from pipeline.store.trouble import Troubles
from pipeline.topics import Topic
from tests.unit.machine.broker import Broker
from tests.unit.machine.store import MemoryStore

DONE, BUSY, UNANSWERED, DIES_BEFORE, DIES_AFTER = range(5)
_IDLE = 8
"""Polls without a record until a life ends: by then what waits was inserted."""
_NOTHING = Committed(-1, "")


class DiedError(BaseException):
    pass


@dataclass
class Life:
    """`records`: how many are read. `seconds`: how long each takes to come. `fates`: of the side effects, in order."""

    records: int
    seconds: float = 0.1
    fates: list[int] = field(default_factory=list)
    now: float = 0.0

    def effect(self, do: Callable[[], None], *, retried: bool) -> None:
        """`retried`: whether the one that asks for it tries again."""
        fate = self.fates.pop(0) if self.fates else DONE
        if fate == DIES_BEFORE:
            raise DiedError
        if fate == BUSY and retried:
            raise NotNowError("busy")
        do()
        if fate == UNANSWERED and retried:
            raise NotNowError("no answer")
        if fate == DIES_AFTER:
            raise DiedError


class MemoryConsumer:
    """In place of `TopicConsumer`: one life over the logs in memory."""

    def __init__(
        self,
        log: Broker,
        topic: Topic,
        commits: dict[int, Committed],
        life: Life,
        stop: threading.Event,
        hear: Callable[[int, Committed], None],
    ) -> None:
        self._log, self.topic, self._commits, self._life = log, topic, commits, life
        self._stop, self._hear = stop, hear
        self._positions: dict[int, int] = {}
        self._idle = 0

    def committed(self) -> dict[int, Committed]:
        return {partition: self._commits.get(partition, _NOTHING) for partition in range(self.topic.partitions)}

    def bounds(self, partition: int) -> tuple[int, int]:
        return self._log.bounds(self.topic.name, partition)

    def end(self, partition: int) -> int | None:
        return self.bounds(partition)[1]

    def ends(self, _stop: threading.Event) -> dict[int, int]:
        return {partition: self.bounds(partition)[1] for partition in range(self.topic.partitions)}

    def answers(self, _seconds: float) -> bool:
        return True

    def pause(self) -> None:
        self._positions = {}

    def assign(self, offsets: Mapping[int, int]) -> None:
        self._positions = dict(offsets)

    def poll(self, seconds: float) -> Record | str | None:
        waiting = [partition for partition, at in self._positions.items() if at < self.bounds(partition)[1]]
        if not waiting or not self._life.records:
            self._life.now += seconds
            if self._positions:  # not paused: what is left is a last flush, or nothing
                self._idle += 1
                if self._idle == _IDLE:
                    self._stop.set()
            return None
        self._idle = 0
        self._life.now += self._life.seconds
        self._life.records -= 1
        # The one that is furthest behind, and so by turns.
        partition = min(waiting, key=lambda number: self._positions[number])
        offset = self._positions[partition]
        self._positions[partition] = offset + 1
        found = self._log.records[self.topic.name, partition][offset]
        return Record(partition, offset, list(found.headers), None if found.is_null else found.value)  # type: ignore[arg-type]

    def commit(self, positions: Mapping[int, Committed]) -> None:
        def do() -> None:
            for partition, at in positions.items():
                self._commits[partition] = at
                self._hear(partition, at)

        self._life.effect(do, retried=False)

    def close(self) -> None:
        pass


@contextmanager
def _at(life: Life, consumer: MemoryConsumer) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sink_module, "TopicConsumer", lambda _settings, _topic: consumer)
        patch.setattr(sink_module, "time", _Clock(life))
        yield


class _Clock:
    def __init__(self, life: Life) -> None:
        self.monotonic: Callable[[], float] = lambda: life.now
        self.time = time.time


class _Writer:
    def __init__(self, store: MemoryStore, life: Life) -> None:
        self._store, self._life = store, life

    def write(self, table: str, rows: Any) -> None:
        self._life.effect(lambda: self._store.write(table, rows), retried=True)


def live(
    settings: Settings,
    log: Broker,
    store: MemoryStore,
    kind: str,
    topic: Topic,
    reader: Reader,
    commits: dict[int, Committed],
    life: Life,
    hear: Callable[[int, Committed], None],
) -> None:
    """Run the sink of a topic for one life; `hear` is told of every commit."""
    stop = threading.Event()
    consumer = MemoryConsumer(log, topic, commits, life, stop, hear)

    def is_held(partition: int, committed: Committed) -> bool:
        return held(store, kind, partition, committed)

    sink = Sink(settings, topic, reader, _Writer(store, life), is_held, stop, Troubles())
    try:
        with _at(life, consumer):
            sink.run()
    except DiedError:
        pass
