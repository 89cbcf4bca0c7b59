"""The gateway's rate and delay, with the whole pipeline up: `python -m tests.benchmarks.bench_gateway [SECONDS]`.

clients, a process of their own, batches of 100 ─► gateway ─► broker ─► classify, rank, store ─► verify
First as fast as answers come, then at half of that rate.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from deploy.embedded.ports import free_ports
from deploy.embedded.programs import environment
from deploy.embedded.supervise import running
from pipeline.http.keys import create
from pipeline.settings import Settings
from pipeline.verify.verify import verify
from tests.benchmarks.delays import percentiles
from tests.benchmarks.gateway_clients import BATCH
from tests.benchmarks.measures import Measured
from tests.benchmarks.processes import BenchError, Children, children
from tests.benchmarks.rig import bench_settings

EVENTS_PER_SECOND, P99_MS = 5_000, 250
CLIENTS, SECONDS, WARM_SECONDS = 8, 20.0, 2.0
READY_SECONDS, VERIFY_SECONDS = 60.0, 300.0
UNLIMITED = 1_000_000_000


def measure(seconds: float = SECONDS) -> Measured:
    """Raises ListeningError where pipeline, gateway or clients can't run to their end."""
    with tempfile.TemporaryDirectory(prefix="listening-gateway-", ignore_cleanup_errors=True) as scratch:
        settings = bench_settings(Path(scratch), "gateway", append_time=True).model_copy(
            update={"gateway_port": free_ports(1)[0], "gateway_limit_events": UNLIMITED}
        )
        with running(settings, lambda _: None):
            with children(Path(scratch) / "gateway", environment(settings)) as group:
                most, half, cpu_us = _loaded(settings, group, seconds)
            verdict = verify(settings, timeout=VERIFY_SECONDS, show_progress=False)
    rate, at = most["events"] / most["seconds"], _percentiles(half)
    said = "exact" if verdict.exact else verdict.sentence
    return {
        "figures": {
            "events_per_second": round(rate),
            "events_per_second_at_half": round(half["events"] / half["seconds"]),
            "batch": BATCH,
            "clients": CLIENTS,
            "call_ms": _percentiles(most),
            "call_ms_at_half": at,
            "gateway_cpu_us": round(cpu_us, 1),
        },
        "bar": f"one gateway process, the pipeline beside it, batches of {BATCH}: at least {EVENTS_PER_SECOND:,} events/s "
        f"acknowledged, and a call's p99 under {P99_MS} ms at half of its rate",
        "verdict": f"{rate:,.0f} events/s, {cpu_us:.0f} µs CPU an event; at half of it "
        + ", ".join(f"{name} {value} ms" for name, value in at.items())
        + f"; verify: {said}",
        "holds": rate >= EVENTS_PER_SECOND and at["p99"] < P99_MS and verdict.exact,
    }


def _loaded(settings: Settings, group: Children, seconds: float) -> tuple[dict[str, Any], dict[str, Any], float]:
    """What the clients told of full and of half load, and the gateway's µs of processor time for each event."""
    secret = create(settings.keys_file, "bench", ["publish"], now_ms=1)[1]
    gateway = group.start("gateway", [sys.executable, "-m", "pipeline.cli", "gateway"])
    ready = settings.run_dir / "ready" / f"gateway-{settings.gateway_port}"
    group.until("the gateway is ready", lambda: ready.exists() and ready.read_text() == str(gateway.pid), READY_SECONDS)
    warm = _told(settings, group, secret, WARM_SECONDS, 0.0)
    most = _told(settings, group, secret, seconds, 0.0)
    half = _told(settings, group, secret, seconds, most["events"] / most["seconds"] / 2)
    gateway.end()
    if gateway.code:
        raise BenchError(f"the gateway ended with {gateway.code}: {gateway.written()[-500:]}")
    return most, half, gateway.cpu_seconds / (warm["events"] + most["events"] + half["events"]) * 1e6


def _told(settings: Settings, group: Children, secret: str, seconds: float, rate: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.gateway_clients", settings.gateway_url, secret]
    clients = group.start(f"clients-{len(group.all)}", [*command, str(CLIENTS), str(seconds), str(rate)], PYTHONPATH=_ROOT)
    group.until_ended(clients, seconds + READY_SECONDS)
    if clients.code:
        raise BenchError(f"the clients ended with {clients.code}: {clients.written()[-500:]}")
    told: dict[str, Any] = json.loads(clients.written())
    return told


def _percentiles(told: dict[str, Any]) -> dict[str, int]:
    return percentiles(np.ceil(np.array(told["calls_ms"])).astype(np.int64))


_ROOT = str(Path(__file__).parents[2])


def main(arguments: list[str]) -> int:
    found = measure(*map(float, arguments[:1]))
    print(json.dumps(found, indent=2))
    return 0 if found["holds"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
