"""The query API under 50 clients at once, while 5,000 events/s go through the whole pipeline beside it.

produce ─► broker ─► classify ─► count, rank ─► store ─► top-artists ─► api_load, a process of its own

`make bench ONLY=api`; SECONDS=… for another length than 20.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from deploy.embedded.programs import environment
from deploy.embedded.supervise import running
from pipeline.settings import Settings
from pipeline.verify.verify import verify
from tests.benchmarks import api_load
from tests.benchmarks.measures import Measured
from tests.benchmarks.processes import BenchError, Children, children
from tests.benchmarks.rig import bench_settings

CLIENTS, RATE, SECONDS = 50, 5_000, 20
BAR_MS = 50
TARGETS = (
    "/v1/top-artists?k=10",
    "/v1/top-artists?k=100",
    "/v1/top-artists?k=10&window=600",
    "/v1/top-artists?k=10&published=true",
)
BEFORE_SECONDS, WITHIN_SECONDS = 5, 180.0
"""Ingest runs for so long before the first client comes, and on after the last has gone."""


def measure(seconds: int = int(os.environ.get("SECONDS") or SECONDS)) -> Measured:
    """Raises ListeningError where the pipeline can't be run to its end."""
    with tempfile.TemporaryDirectory(prefix="listening-api-", ignore_cleanup_errors=True) as scratch:
        settings = bench_settings(Path(scratch), "api", append_time=True)
        ours = environment(settings) | {"PYTHONPATH": str(Path(__file__).parents[2])}
        with running(settings, lambda _: None):
            with children(Path(scratch) / "load", ours) as group:
                events = RATE * (seconds + 3 * BEFORE_SECONDS)
                options = ["--scenario", "demo", "--rate", str(RATE), "--events", str(events), "--json"]
                producer = group.start("produce", [sys.executable, "-m", "pipeline.cli", "produce", *options])
                group.until("plays are ranked", lambda: _ranked(settings), WITHIN_SECONDS, 0.2)
                found = _loaded(settings, group, seconds)
                busy = producer.code is None
                group.until_ended(producer, WITHIN_SECONDS)
                if producer.code:
                    raise BenchError(f"produce ended with {producer.code}: {producer.written()[-500:]}")
                produced = json.loads(producer.written())
            verdict = verify(settings, timeout=WITHIN_SECONDS, show_progress=False)
    took = np.array(found.pop("latencies_us"))
    at = {name: round(float(np.percentile(took, part)) / 1000, 2) for name, part in (("p50", 50), ("p90", 90), ("p99", 99))}
    rate, ingested = len(took) / seconds, produced["published"] / produced["seconds"]
    said = "exact" if verdict.exact else verdict.sentence
    sound = found["statuses"] == {"200": len(took)} and not found["broken"] and busy
    sound &= found["oldest_ms"] <= settings.api_cache_seconds * 1000
    return {
        "figures": {
            "clients": CLIENTS,
            "answers_per_second": round(rate),
            "latency_ms": at | {"max": round(float(took.max()) / 1000, 2)},
            "events_per_second": round(ingested),
            **found,
        },
        "bar": f"top-artists, {CLIENTS} clients at once, {RATE:,} events/s beside them: p99 under {BAR_MS} ms",
        "verdict": ", ".join(f"{name} {value} ms" for name, value in at.items())
        + f"; {rate:,.0f} answers/s, none older than {found['oldest_ms']} ms, at {ingested:,.0f} events/s; verify: {said}"
        + ("" if sound else f"; NOT SOUND: {found}, producer still at work: {busy}"),
        "holds": at["p99"] < BAR_MS and sound and verdict.exact,
    }


def _ranked(settings: Settings) -> bool:
    answer = httpx.get(f"{settings.store_url}/v1/top-artists", trust_env=False, timeout=10)
    return answer.status_code == httpx.codes.OK and bool(answer.json()["rows"])


def _loaded(settings: Settings, group: Children, seconds: int) -> dict[str, Any]:
    arguments = [str(settings.store_port), str(CLIENTS), str(seconds), *TARGETS]
    child = group.start("load", [sys.executable, "-m", api_load.__name__, *arguments])
    group.until_ended(child, seconds + WITHIN_SECONDS)
    if child.code:
        raise BenchError(f"the clients ended with {child.code}: {child.written()[-1500:]}")
    found: dict[str, Any] = json.loads(child.written())
    return found


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
