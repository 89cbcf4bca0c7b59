"""Each breach takes back what it says, and nothing is broken before it is installed."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from pipeline.codec.batches import walk
from pipeline.codec.decode import decode
from pipeline.codec.headers import HeaderList, PlaysHeaders
from pipeline.dedup.decide import Memory
from pipeline.drills import breaches
from pipeline.drills.breaches import TIME_TO_COMMIT_S, Breach
from pipeline.drills.crash_points import Stage
from pipeline.faustlib.fetch import Fetch
from pipeline.faustlib.lanes import LostStateError
from pipeline.log.batch import classify
from pipeline.log.restore import Restored
from pipeline.metrics import ClassifyMetrics
from pipeline.outcomes import LABELS
from pipeline.registry.of_run import open_registry
from pipeline.settings import Settings, load
from pipeline.store.pending import Pending
from pipeline.store.sink import Sink
from pipeline.topics import topics_of
from pipeline.workers.classify import ClassifyLane
from tests.unit.batches import NOON, batch_bytes, event, record
from tests.unit.drills.test_seams import seams_of
from tests.unit.log.memory_log import MemoryLog
from tests.unit.workers.test_count_and_rank import MemoryAppender

EVENT, COPY, OTHER = record(event(1)), record(event(1)), record(event(2, user_id=1))
STAMPS = [NOON + 1000] * 3


@pytest.fixture
def settings() -> Settings:
    return load(partitions=1, append_time=False)


@pytest.fixture
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def take_back(patch: pytest.MonkeyPatch, breach: Breach, stage: Stage) -> None:
    seams_of(patch, f"{breach} in {stage}")


class Watched(MemoryAppender):
    """Notes the lane's position as each record arrives."""

    lane: ClassifyLane
    seen: tuple[int, ...] = ()

    async def append(self, topic: str, partition: int, value: bytes | None, headers: HeaderList, **more: Any) -> int:
        self.seen += (self.lane.next_offset,)
        return await super().append(topic, partition, value, headers, **more)


def lane_over(settings: Settings, log: MemoryLog, folder: Path) -> tuple[ClassifyLane, Watched]:
    appender = Watched(log)
    metrics = ClassifyMetrics(folder / "metrics")
    lane = ClassifyLane(settings, 0, Restored(Memory(), 0), "id", appender, metrics, open_registry(settings))
    appender.lane = lane
    return lane, appender


def fetched(settings: Settings) -> Fetch:
    return Fetch(topics_of(settings).events.name, 0, 0, 3, walk(batch_bytes([EVENT, COPY, OTHER], 0, timestamps=STAMPS)))


def outcomes(settings: Settings) -> dict[str, int]:
    decoded = decode(walk(batch_bytes([EVENT, COPY, OTHER], 0, timestamps=STAMPS)), 0, 0, 1, settings.rules.max_ahead_ms)
    counts = classify(Memory(), decoded, settings.rules).counts
    return {label: number for label, number in zip(LABELS, counts, strict=True) if number}


def test_no_dedup_counts_a_copy(settings: Settings, patch: pytest.MonkeyPatch) -> None:
    assert outcomes(settings) == {"accepted": 2, "duplicate": 1}
    take_back(patch, "no-dedup", "classify")
    assert outcomes(settings) == {"accepted": 3}


def test_ack_before_append_moves_the_position_in_time_for_a_commit(
    settings: Settings, patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lane, appender = lane_over(settings, MemoryLog(), tmp_path)
    asyncio.run(lane.take(fetched(settings)))
    assert (appender.seen, lane.next_offset) == ((0,), 3)
    take_back(patch, "ack-before-append", "classify")
    lane, appender = lane_over(settings, MemoryLog(), tmp_path)
    began = time.monotonic()
    asyncio.run(lane.take(fetched(settings)))
    assert (appender.seen, lane.next_offset) == ((3,), 3)
    assert time.monotonic() - began >= TIME_TO_COMMIT_S


def test_with_at_ignored_a_writer_goes_on_at_a_place_that_is_not_its_own_and_readers_take_what_lies_there(
    settings: Settings, patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log, topic = MemoryLog(), topics_of(settings).plays.name
    log.append(topic, 0, b"rogue", [], 0)
    with pytest.raises(LostStateError):
        asyncio.run(lane_over(settings, log, tmp_path)[0].take(fetched(settings)))
    written = log.records[topic, 0][1]
    assert PlaysHeaders.valid_at(1, written.headers) is None
    for stage in breaches.stages_of("at-ignored"):
        with pytest.MonkeyPatch.context() as one:
            take_back(one, "at-ignored", stage)
            found = PlaysHeaders.valid_at(1, written.headers)
            assert found is not None
            assert (found.at, found.first, found.last) == (0, 0, 2)
            assert PlaysHeaders.valid_at(0, []) is None, "what has no headers is no record of ours still"
    take_back(patch, "at-ignored", "classify")
    lane, _ = lane_over(settings, log, tmp_path)
    asyncio.run(lane.take(fetched(settings)))
    assert lane.next_offset == 3


def test_commit_before_insert_commits_before_it_inserts(settings: Settings, patch: pytest.MonkeyPatch) -> None:
    def effects() -> list[str]:
        """What a sink does with what waits, in order, over a consumer and a writer that only note it."""
        done: list[str] = []
        reader: Any = SimpleNamespace(metadata=lambda _partition, _offset: "")
        writer: Any = SimpleNamespace(write=lambda table, _rows: done.append(f"insert {table}"))
        consumer: Any = SimpleNamespace(
            commit=lambda positions: done.append(f"commit {positions[0].offset}"), end=lambda _partition: None
        )
        stop: Any = SimpleNamespace(is_set=lambda: False, wait=lambda _seconds: False)
        pending = Pending()
        pending.add(0, 7, [("plays", pa.table({"offset": [6]}))], 0.0)
        sink = Sink(settings, topics_of(settings).plays, reader, writer, lambda *_: True, stop, SimpleNamespace())  # type: ignore[arg-type]
        sink._flush(consumer, pending)
        return done

    assert effects() == ["insert plays", "commit 7"]
    take_back(patch, "commit-before-insert", "store")
    assert effects()[:2] == ["commit 7", "insert plays"]
