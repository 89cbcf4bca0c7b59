"""Metrics of a worker, in Prometheus' text format, written where a node exporter's textfile collector can pick them up."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families

from pipeline.outcomes import LABELS

log = structlog.get_logger()


class ClassifyMetrics:
    """What a classify worker has done since it started."""

    def __init__(self, path: Path) -> None:
        self._path, self._stale = path, False
        self._busy_lanes, self._busy_since, self._began = 0, 0.0, False
        self.registry = CollectorRegistry()
        self.events = Counter("listening_events", "Events by outcome", ["outcome"], registry=self.registry)
        self.ticks = Counter("listening_ticks", "Ticks", registry=self.registry)
        self.columnar = Counter("listening_columnar_events", "Events decoded as columns", registry=self.registry)
        self.invalid = Counter("listening_dlq_records", "Dead letters by reason", ["reason"], registry=self.registry)
        self.busy = Counter(
            "listening_classify_busy_seconds", "Seconds in which some partition was at work", registry=self.registry
        )
        self.first_work = Gauge(
            "listening_classify_first_work_timestamp_seconds",
            "When the first fetch was taken, unix time; 0: none was",
            registry=self.registry,
        )
        self.last_work = Gauge(
            "listening_classify_last_work_timestamp_seconds",
            "When the broker had acknowledged the last outcome so far, unix time; 0: none",
            registry=self.registry,
        )
        self.remembered = Gauge("listening_remembered_ids", "Ids in memory", ["partition"], registry=self.registry)
        for label in LABELS:
            self.events.labels(label)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Counts the time in which at least one partition is inside, overlapping ones once."""
        if not self._began:
            self._began = True
            self.first_work.set_to_current_time()
        if not self._busy_lanes:
            self._busy_since = time.perf_counter()
        self._busy_lanes += 1
        try:
            yield
        finally:
            self._busy_lanes -= 1
            if not self._busy_lanes:
                self.busy.inc(time.perf_counter() - self._busy_since)

    def acknowledged(self) -> None:
        """To be called when the broker has acknowledged outcomes."""
        self.last_work.set_to_current_time()

    def write(self) -> None:
        """Write the file anew, atomically. Where it can't be (a full disk), it stays as it is, which is said once: events
        are not left lying for the sake of their numbers."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_to_textfile(str(self._path), self.registry)
        except OSError as error:
            if not self._stale:
                log.warning(
                    "the metrics can't be written, and stay as they were", file=str(self._path), reason=error.strerror
                )
            self._stale = True
        else:
            self._stale = False


def metrics_file(run_dir: Path, worker: str, pid: int) -> Path:
    """Where the worker with this pid writes its metrics."""
    return run_dir / "metrics" / f"{worker}-{pid}.prom"


def read_total(folder: Path, worker: str, name: str) -> float:
    """The sum of a counter over the workers of that name and all labels; 0 where none wrote it."""
    total = 0.0
    for path in folder.glob(f"metrics/{worker}-*.prom"):
        for family in text_string_to_metric_families(path.read_text()):
            total += sum(sample.value for sample in family.samples if sample.name == f"{name}_total")
    return total
