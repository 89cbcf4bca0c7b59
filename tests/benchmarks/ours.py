"""Our side of the contest: classify by one process and by two, and the same work as the peers: classify and count.

Timed from the first fetch that a classify worker took to the last output that the broker acknowledged.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from pipeline.codec.headers import CountsHeaders, headers_of
from pipeline.settings import Settings
from pipeline.topics import topics_of
from pipeline.verify.readlog import consumer_of
from pipeline.verify.verify import verify
from tests.benchmarks.coverage import Coverage, first_seen
from tests.benchmarks.processes import BenchError, Child, Children
from tests.benchmarks.results import Round
from tests.benchmarks.rig import Rig

DONE_SECONDS = 300.0
READY_SECONDS = 60.0
LOOK_SECONDS = 0.02
CLASSIFY, RANK, STORE = "pipeline.workers.classify", "pipeline.workers.rank", "pipeline.store"
LEAST_SHARE = 0.4
"""Of all records; a worker of two that had less came too late to share them."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a classify worker says it has done. Instants are unix seconds."""

    records: int
    first: float
    last: float


def work_of(path: Path) -> Work:
    """From its metrics file; nothing where there is none yet."""
    if not path.exists():
        return Work(0, 0.0, 0.0)
    values: dict[str, float] = {}
    for family in text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            values[sample.name] = values.get(sample.name, 0.0) + sample.value
    instants = (values[f"listening_classify_{name}_work_timestamp_seconds"] for name in ("first", "last"))
    return Work(int(values["listening_events_total"] + values["listening_ticks_total"]), *instants)


def classify(rig: Rig, processes: int) -> Round:
    """Until the last outcome is acknowledged. Raises BenchError."""
    with rig.turn() as group:
        workers = _started(group, processes)
        done = _classified(rig, group, workers)
    return _round(rig, group, done, max(work.last for work in done))


def same_work(rig: Rig, processes: int) -> Round:
    """Classify and count until the last count is acknowledged. Raises BenchError."""
    with rig.turn() as group:
        rank = group.start_worker("rank", RANK)
        ready = rig.settings.run_dir / "ready" / "rank"
        group.until("rank is ready", lambda: ready.exists() and ready.read_text() == str(rank.pid), READY_SECONDS)
        with watched(rig) as watch:
            done = _classified(rig, group, _started(group, processes))
            group.until("the counts are complete", watch.is_complete, DONE_SECONDS, every=0.2)
    return _round(rig, group, done, watch.completed())


def verdict(rig: Rig) -> str:
    """Let the rest of the pipeline run to its end on what a turn left, and verify all of it. Raises BenchError."""
    with rig.turn() as group:
        return verified(rig.settings, group)


def verified(settings: Settings, group: Children) -> str:
    """Start rank and store, and verify what they make of all that is classified. Raises BenchError."""
    store = group.start_worker("store", STORE)
    group.start_worker("rank", RANK)
    ready = settings.run_dir / "ready" / "store"
    group.until("the store is ready", lambda: ready.exists() and ready.read_text() == str(store.pid), READY_SECONDS)
    found = verify(settings, timeout=DONE_SECONDS, show_progress=False)
    if found.exact:
        return "exact"
    differences = [f"{check.name}: {line}" for check in found.checks for line in check.differences[:2]]
    return "; ".join([found.sentence, *differences])


def _round(rig: Rig, group: Children, done: list[Work], end: float) -> Round:
    return Round(rig.events, end - min(work.first for work in done), group.cpu, group.peak_mb, group.said)


def _started(group: Children, processes: int) -> list[Child]:
    return [group.start_worker(f"classify-{number}", CLASSIFY) for number in range(1, processes + 1)]


def _classified(rig: Rig, group: Children, workers: list[Child]) -> list[Work]:
    files = [rig.settings.run_dir / "metrics" / f"classify-{worker.pid}.prom" for worker in workers]
    group.until("all is classified", lambda: sum(work_of(file).records for file in files) >= rig.records, DONE_SECONDS, 0.2)
    done = [work_of(file) for file in files]
    if sum(work.records for work in done) != rig.records:
        raise BenchError(f"{rig.records} records were classified as {[work.records for work in done]}: some twice")
    if len(done) == 2 and min(work.records for work in done) < LEAST_SHARE * rig.records:
        raise BenchError(f"the workers did not share: {[work.records for work in done]}")
    return done


@dataclass
class Watch:
    """Looks at how long `artist-counts` is; once the flow is over, reads what it tells."""

    rig: Rig
    looks: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = self.rig.settings
        self._place = TopicPartition(topics_of(settings).counts.name, 0, 0)
        self._coverage = Coverage({partition: end - 1 for partition, end in enumerate(self.rig.ends) if end})
        self._reader: Consumer = consumer_of(settings)
        self._reader.assign([self._place])
        self._reader.pause([self._place])
        self._looker: Consumer = consumer_of(settings)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            _, end = self._looker.get_watermark_offsets(self._place, timeout=30)
            if not self.looks or end > self.looks[-1][1]:
                self.looks.append((time.time(), end))

    def is_complete(self) -> bool:
        """Whether what was written so far tells of all; for after the flow, since reading costs time."""
        self._reader.resume([self._place])
        while messages := self._reader.consume(1000, timeout=0.2):
            self._coverage.add((m.offset(), CountsHeaders.decode(headers_of(m))) for m in messages if m.error() is None)
            if self._coverage.completed_by is not None:
                return any(end > self._coverage.completed_by for _, end in self.looks)
        return False

    def completed(self) -> float:
        """When the log was first seen to tell of all, unix seconds."""
        offset = self._coverage.completed_by
        if offset is None:
            raise BenchError("the counts are not complete")
        return first_seen(self.looks, offset)

    def close(self) -> None:
        self._over.set()
        self._thread.join(40)
        self._reader.close()
        self._looker.close()


@contextmanager
def watched(rig: Rig) -> Iterator[Watch]:
    watch = Watch(rig)
    try:
        yield watch
    finally:
        watch.close()
