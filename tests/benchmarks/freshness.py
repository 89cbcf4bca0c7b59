"""Freshness: how long from acknowledged in Kafka to visible in ClickHouse, with the whole pipeline under a steady load.

produce, a process of its own, 20,000 events/s ─► broker ─► classify ─► plays ─► store ─► the watcher's SQL
"""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa

from deploy.embedded.programs import environment
from deploy.embedded.supervise import running
from pipeline.settings import Settings
from pipeline.store.ask import RUN_HEADER, sql
from pipeline.verify.readlog import end_offsets
from pipeline.verify.verify import verify
from tests.benchmarks.delays import Array, delays, histogram, percentiles
from tests.benchmarks.measures import Measured
from tests.benchmarks.processes import BenchError, children
from tests.benchmarks.rig import bench_settings

RATE, SECONDS = 20_000, 60
BAR_MS = 2000
LOOK_SECONDS = 0.1
"""A look costs the store 9 ms of CPU time."""
WITHIN_SECONDS = 300.0
PLAYS, COUNTS = 0, 1
# `batches` and `count_positions` are written after the rows they speak of.
REACHED = f"""
SELECT {PLAYS} AS kind, source_partition, toInt64(max(last_offset)) AS reached FROM batches GROUP BY source_partition
UNION ALL
SELECT {COUNTS} AS kind, source_partition, toInt64(max(counted)) AS reached FROM count_positions GROUP BY source_partition
"""
STORED = """
SELECT source_partition, source_offset, appended_at, outcome = 'accepted' AS counts FROM plays FINAL
UNION ALL
SELECT source_partition, source_offset, appended_at, 0 AS counts FROM duplicates FINAL
"""


@dataclass
class Looks:
    """What a watcher sees. Each look counts as made when its answer was there."""

    settings: Settings
    when: list[int] = field(default_factory=list)
    """Epoch ms."""
    reached: list[dict[tuple[int, int], int]] = field(default_factory=list)
    """(kind, source partition) → last source offset that is visible."""
    error: Exception | None = None
    """Why the last look that failed did. The next one comes later, which counts against us."""

    @property
    def newest(self) -> dict[tuple[int, int], int]:
        return self.reached[-1] if self.reached else {}

    def look(self, client: httpx.Client) -> None:
        response = client.post("/sql", content=REACHED.encode())
        response.raise_for_status()
        rows = pa.ipc.open_stream(response.content).read_all().to_pylist()
        self.when.append(time.time_ns() // 1_000_000)
        self.reached.append({(row["kind"], row["source_partition"]): row["reached"] for row in rows})

    def of(self, kind: int, partition: int) -> tuple[Array, Array]:
        """Instants and last offsets of all looks."""
        seen = [reached.get((kind, partition), -1) for reached in self.reached]
        return np.array(self.when, np.int64), np.array(seen, np.int64)


@contextmanager
def watching(settings: Settings) -> Iterator[Looks]:
    """Looks about eight times a second, in a thread, until the block ends."""
    looks, over = Looks(settings), threading.Event()

    def run() -> None:
        # One client for all looks: to make one takes longer than a look.
        headers = {RUN_HEADER: settings.run}
        with httpx.Client(base_url=settings.store_url, headers=headers, timeout=30, trust_env=False) as client:
            while not over.wait(LOOK_SECONDS):
                try:
                    looks.look(client)
                except (httpx.HTTPError, pa.ArrowInvalid) as error:
                    looks.error = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield looks
    finally:
        over.set()
        thread.join(40)


def measure(seconds: int = SECONDS) -> Measured:
    """Raises ListeningError where the pipeline can't be run to its end."""
    with tempfile.TemporaryDirectory(prefix="listening-fresh-", ignore_cleanup_errors=True) as scratch:
        settings = bench_settings(Path(scratch), "fresh", append_time=True)
        with running(settings, lambda _: None):
            with watching(settings) as looks:
                produced = _produced(settings, RATE * seconds, Path(scratch) / "produce")
                _all_seen(looks, end_offsets(settings))
            verdict = verify(settings, timeout=WITHIN_SECONDS, show_progress=False)
            stored = sql(settings, STORED)
    visible, counted = _delays(stored, looks, PLAYS), _delays(stored, looks, COUNTS)
    at = percentiles(visible)
    said = "exact" if verdict.exact else verdict.sentence
    return {
        "figures": {
            "events_per_second": round(produced["published"] / produced["seconds"]),
            "events_seen": len(visible),
            "looks": len(looks.when),
            "visible_ms": at,
            "counted_ms": percentiles(counted),
            "histogram": histogram(visible),
        },
        "bar": f"at {RATE:,} events/s, acknowledged in Kafka to visible in ClickHouse: p99 under {BAR_MS / 1000:g} s",
        "verdict": ", ".join(f"{name} {value / 1000:.2f} s" for name, value in at.items()) + f"; verify: {said}",
        "holds": at["p99"] < BAR_MS and verdict.exact,
    }


def _produced(settings: Settings, events: int, folder: Path) -> dict[str, float]:
    options = ["--scenario", "demo", "--rate", str(RATE), "--events", str(events), "--json"]
    with children(folder, environment(settings)) as group:
        producer = group.start("produce", [sys.executable, "-m", "pipeline.cli", "produce", *options])
        group.until_ended(producer, WITHIN_SECONDS)
        if producer.code:
            raise BenchError(f"produce ended with {producer.code}: {producer.written()[-500:]}")
        told: dict[str, float] = json.loads(producer.written())
        return told


def _all_seen(looks: Looks, ends: list[int]) -> None:
    """Return when the watcher has seen all there is. Raises BenchError."""
    deadline = time.monotonic() + WITHIN_SECONDS
    lasts = {(kind, partition): end - 1 for kind in (PLAYS, COUNTS) for partition, end in enumerate(ends)}
    while any(looks.newest.get(place, -1) < last for place, last in lasts.items()):
        if time.monotonic() > deadline:
            raise BenchError(
                f"the store did not show all ({lasts}) within {WITHIN_SECONDS:.0f} s: {looks.newest}, {looks.error}"
            )
        time.sleep(LOOK_SECONDS)


def _delays(stored: pa.Table, looks: Looks, kind: int) -> Array:
    """Of all events that are stored, or of all that count; milliseconds."""
    counts = stored["counts"].to_numpy().astype(np.bool_)
    wanted = counts if kind == COUNTS else np.ones(len(counts), np.bool_)
    partitions, offsets = (stored[name].to_numpy().astype(np.int64) for name in ("source_partition", "source_offset"))
    dates = stored["appended_at"].cast(pa.timestamp("ms", "UTC")).cast(pa.int64()).to_numpy()
    parts = []
    for partition in np.unique(partitions).tolist():
        rows = wanted & (partitions == partition)
        parts.append(delays(offsets[rows], dates[rows], *looks.of(kind, partition)))
    return np.concatenate(parts)
