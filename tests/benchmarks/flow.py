"""A producing session and the sink on one run, measured one after the other; then all of the run is verified.

produce (measured) ─► classify ─► plays ─► sink into an engine of its own (measured);  rank and store ─► verify
"""

import json
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from deploy.embedded.programs import environment
from pipeline.verify.readlog import end_offsets
from tests.benchmarks import bench_producer
from tests.benchmarks.bench_sink import sink_rate
from tests.benchmarks.measures import Measured
from tests.benchmarks.ours import CLASSIFY, DONE_SECONDS, verified, work_of
from tests.benchmarks.processes import BenchError, children
from tests.benchmarks.rig import bench_settings, broker

PRODUCED, SUNK = 110_000, 400_000


@cache
def _flow() -> tuple[dict[str, Any], dict[str, Any], str]:
    """What the producer and the sink gave, and what verify said. Raises BenchError."""
    with tempfile.TemporaryDirectory(prefix="listening-bench-", ignore_cleanup_errors=True) as scratch:
        settings = bench_settings(Path(scratch), "flow", append_time=True)
        with broker(settings):
            with children(Path(scratch) / "produce", environment(settings)) as group:
                child = group.start("produce", [sys.executable, bench_producer.__file__, "run"])
                group.until_ended(child, DONE_SECONDS)
                if child.code:
                    raise BenchError(f"produce ended with {child.code}: {child.written()[-500:]}")
                produced = json.loads(child.written())
            records = sum(end_offsets(settings))
            with children(Path(scratch) / "classify", environment(settings)) as group:
                file = settings.run_dir / "metrics" / f"classify-{group.start_worker('classify', CLASSIFY).pid}.prom"
                group.until("all is classified", lambda: work_of(file).records >= records, DONE_SECONDS, 0.2)
            sunk = sink_rate(settings)
            with children(Path(scratch) / "rest", environment(settings)) as group:
                said = verified(settings, group)
    return produced, sunk, said


def producer() -> Measured:
    """The session's rate by the wall, its parts by CPU time, and the columnar encoder beside fastavro."""
    (found, _, said), encoding = _flow(), bench_producer.encoding_rate()
    bytes_are = "the same bytes" if encoding["equal"] else "OTHER bytes"
    exact = said == "exact" and encoding["equal"] and found["acknowledged"] == found["events"]
    return {
        "figures": {**found, "encoding": encoding},
        "bar": f"a producer process, generation, Avro and duplicates included: at least {PRODUCED:,} events/s",
        "verdict": f"{found['events_per_second']:,} events/s, {found['cpu_us']:.2f} µs CPU an event; Avro by columns "
        f"{encoding['columns_us']:.2f} µs, by fastavro {encoding['fastavro_us']:.2f} µs, {bytes_are}; verify: {said}",
        "holds": found["events_per_second"] >= PRODUCED and exact,
    }


def sink() -> Measured:
    """The rows that it stores of a backlog of `plays`, by the wall."""
    _, found, said = _flow()
    return {
        "figures": found,
        "bar": f"the sink from a backlog into the embedded engine: at least {SUNK:,} rows/s",
        "verdict": f"{found['rows_per_second']:,} rows/s, {found['cpu_us']:.2f} µs CPU a row, {found['peak_mb']} MB; "
        f"verify: {said}",
        "holds": found["rows_per_second"] >= SUNK and said == "exact",
    }
