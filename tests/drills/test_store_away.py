"""ClickHouse away for a minute under 20,000 events a second: `make drill-store-away`, about four minutes.

produce ─► broker ─► classify ─► count, rank ─► store ─► front: the server, whose port is closed for a minute

Bar: every process below 600 MB, lag back to zero, verify exact. The front, the server, holds the engine: it is only told.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.admin import ensure_topics
from pipeline.drills.front_process import front
from pipeline.errors import UnavailableError
from pipeline.settings import Settings
from pipeline.store import ask
from pipeline.verify.verify import verify
from tests.conftest import settings_env
from tests.drills.memory import child_running, watching
from tests.end_to_end.processes import processes, wait_for
from tests.end_to_end.test_store import varied

ROOT = Path(__file__).parents[2]
RATE = 20_000
EVENTS = 120 * RATE
BEFORE_SECONDS, AWAY_SECONDS = 20, 60
MOST_MB = 600


def told(settings: Settings) -> dict[str, Any]:
    try:
        return ask.ready(settings)
    except UnavailableError:
        return {"status": "", "reasons": [], "topics": {}}


def lag(settings: Settings) -> int:
    return sum(topic["lag"] for topic in told(settings)["topics"].values())


@pytest.mark.drill
@pytest.mark.timeout(1800)
def test_a_minute_without_clickhouse_costs_little_memory_and_no_row(settings: Settings, tmp_path: Path) -> None:
    with front(tmp_path / "server") as server:
        run = varied(settings, clickhouse_dsn=server.dsn)
        ensure_topics(run)
        with processes(run) as group, watching() as watched:
            watched.add("broker", child_running("kafka.Kafka"))
            for name in ("classify", "rank", "store"):
                watched.add(name, group.start(name).pid)
            assert server.process
            watched.add("front", server.process.pid)
            producer = subprocess.Popen(
                [sys.executable, "-m", "pipeline.cli", "produce", "--rate", str(RATE), "--events", str(EVENTS), "--json"],
                env=settings_env(run),
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
            try:
                watched.add("produce", producer.pid)
                wait_for("the first rows", lambda: ask.ready(run)["topics"]["plays"]["rows"] > 0)
                time.sleep(BEFORE_SECONDS)
                server.faults(away=True)
                time.sleep(AWAY_SECONDS)
                reasons, behind = told(run)["reasons"], lag(run)
                server.faults(away=False)
                back = time.monotonic()
                output, _ = producer.communicate(timeout=900)
            finally:
                producer.kill()
                producer.wait()
            produced = json.loads(output)
            wait_for("no lag", lambda: told(run)["status"] == "ready" and lag(run) == 0, 600)
            caught_up = time.monotonic() - back
            verdict = verify(run, timeout=600, show_progress=False)
            watched.look()
            log = group.log("store")
    rate = produced["published"] / produced["seconds"]
    print(f"\n{produced['published']:,} events at {rate:,.0f}/s; {behind:,} records behind after {AWAY_SECONDS} s without")
    print(f"the lag was zero {caught_up:.0f} s after ClickHouse was back, of which the producer ran on for a part")
    print(watched.table())
    print("\n".join(line for line in log.splitlines() if "waits" in line or "has to wait" in line or "goes on" in line))
    assert any("connection refused" in reason for reason in reasons)
    assert behind > 0, "nothing had to wait"
    assert verdict.exact, verdict.as_json()
    assert log.count("has to wait") <= 2, "said more often than once a reason (broke off, refused)"
    too_large = {name: peak for name, peak in watched.peak.items() if peak >= MOST_MB and name != "front"}
    assert not too_large, watched.table()
