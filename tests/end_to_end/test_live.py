"""The live state over real processes: what it tells while events are produced, and that it holds no end up."""

import json
import signal
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from pipeline import cli
from pipeline.admin import ensure_topics
from pipeline.settings import Settings
from pipeline.store.ask import rows
from pipeline.topics import topics_of
from producers.produce import produce
from producers.scenarios.model import Scenario
from tests.conftest import settings_env
from tests.end_to_end.processes import SECONDS, Processes, processes, wait_for
from tests.end_to_end.test_pipeline import classified
from tests.unit.api.test_metrics import Samples, samples, value

SMALL = Scenario(events=12_000, minutes=20, artists=200, users=1_500, release={"at": "minute 8"}, seed=5)
REFUSED = 12
"""Records that are no events."""
ALL = SMALL.events + REFUSED
OUTCOMES = ("accepted", "duplicates", "late", "skipped", "suspect", "invalid")


def states(settings: Settings) -> Iterator[dict[str, Any]]:
    """What the stream tells, one after the other; ends with the server."""
    with httpx.stream("GET", f"{settings.store_url}/v1/live", timeout=30, trust_env=False) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        for line in response.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def get(settings: Settings, path: str) -> httpx.Response:
    return httpx.get(f"{settings.store_url}{path}", timeout=30, trust_env=False)


def until(told: Iterator[dict[str, Any]], what: str, most: int = 120) -> list[dict[str, Any]]:
    """States up to the first of which the expression holds."""
    seen = []
    for _, state in zip(range(most), told, strict=False):
        seen.append(state)
        if eval(what, {}, state):
            return seen
    raise AssertionError(f"{what}: not within {most} states; the last was {seen[-1]}")


def test_totals_in_the_stream_grow_while_events_are_produced_and_end_as_the_store_holds_them(settings: Settings) -> None:
    ensure_topics(settings)
    with processes(settings) as run:
        store = run.start("store")
        told = states(settings)
        alone = until(told, "not any('Kafka' in reason for reason in reasons)")[-1]
        assert alone["ready"] is False
        assert any(reason.startswith("classify: no classify is at work") for reason in alone["reasons"])
        assert get(settings, "/v1/ready").status_code == 503
        run.start("rank")
        run.start("classify")
        before = until(told, "ready")[-1]
        producer = threading.Thread(target=produce, args=(settings, SMALL), kwargs={"show_progress": False})
        producer.start()
        _refused_ones(settings)
        seen = until(told, f"totals['records'] >= {ALL}")
        producer.join(SECONDS)
        assert not producer.is_alive()
        # What was known before is told once more: a busy Kafka's letters, and a list that may stand for a while.
        at_rest = "lag == {'classify': 0, 'count': 0, 'rank': 0, 'sink': 0} and not duplicates_pending"
        done = until(told, f"{at_rest} and dlq['records'] == totals['invalid'] and top['rows']")[-1]
        _grew([before, *seen])
        _is_what_the_store_holds(settings, done)
        _metrics_say_the_same(settings, done)
        _ways_agree(settings)
        wait_for("a Kafka that answers in time", lambda: get(settings, "/v1/ready").status_code == 200)
        _ends_with_open_streams(settings, run, store, told)


def _refused_ones(settings: Settings) -> None:
    producer = Producer({"bootstrap.servers": settings.bootstrap})
    for number in range(REFUSED):
        producer.produce(topics_of(settings).events.name, value=b"rogue", key=b"x", partition=number % settings.partitions)
    assert producer.flush(30) == 0


def _grew(seen: list[dict[str, Any]]) -> None:
    records = [state["totals"]["records"] for state in seen]
    assert records == sorted(records)
    assert len(set(records)) >= 2


def _is_what_the_store_holds(settings: Settings, state: dict[str, Any]) -> None:
    (stored,) = rows(settings, "SELECT count() AS n, countIf(outcome = 'accepted') AS accepted FROM plays FINAL")
    (copies,) = rows(settings, "SELECT count() AS n FROM duplicates FINAL")
    totals = state["totals"]
    assert totals["records"] == ALL == sum(totals[name] for name in OUTCOMES)
    assert totals["accepted"] == stored["accepted"]
    assert totals["duplicates"] == copies["n"] > 0
    assert totals["accepted"] + totals["late"] + totals["suspect"] == stored["n"]
    kinds = {one["kind"]: one["count"] for one in state["duplicates"]}
    assert sum(count for kind, count in kinds.items() if kind != "cross_service") == copies["n"]
    assert sum(one["records"] for one in state["partitions"]) == totals["records"]
    assert state["dlq"]["records"] == sum(state["dlq"]["reasons"].values()) == totals["invalid"] == REFUSED
    assert state["freshness"]["final_behind_seconds"] >= settings.grace_seconds
    assert len(state["top"]["rows"]) == 15


def _metrics_say_the_same(settings: Settings, state: dict[str, Any]) -> None:
    def told() -> Samples:
        return samples(get(settings, "/metrics").text)

    # A busy Kafka may take longer for a look than it is waited for: then nobody can tell who is at work.
    wait_for("rank at work", lambda: value(told(), "listening_dependency_up", dependency="rank") == 1)
    found = told()
    assert value(found, "listening_events_total", outcome="accepted") == state["totals"]["accepted"]
    assert value(found, "listening_consumer_lag_records", stage="classify") == 0
    assert value(found, "listening_sink_delay_seconds", topic="plays") > 0
    assert value(found, "listening_columnar_events_total") > 0


def _ways_agree(settings: Settings) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings_env(settings).items():
            patch.setenv(name, value)
        done = CliRunner().invoke(cli.app, ["storage", "compare", "--json"])
        shown = CliRunner().invoke(cli.app, ["storage", "compare"]).stdout
    assert done.exit_code == 0, done.output
    assert "they agree, place by place" in shown
    found = json.loads(done.stdout)
    assert found["agree"] is True
    assert [way["source"] for way in found["ways"]] == ["plays", "panes", "published"]
    assert all(way["bytes_on_disk"] > 0 for way in found["ways"])


def _ends_with_open_streams(settings: Settings, run: Processes, store: Any, told: Iterator[dict[str, Any]]) -> None:
    """As `listening up` ends it: by SIGTERM. Streams end whole, nothing is cut off or waited for in vain."""
    others = [states(settings) for _ in range(3)]
    for other in others:
        next(other)
    store.send_signal(signal.SIGTERM)
    for stream in (told, *others):
        deque(stream, maxlen=0)  # to its end: httpx raises where that comes within a chunk
    assert run.ended(store) == 0
    assert "graceful shutdown exceeded" not in run.log("store")
    wait_for("the ready file gone", lambda: not (settings.run_dir / "ready" / "store").exists())
    assert classified(settings) >= SMALL.events
