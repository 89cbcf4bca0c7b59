"""The state over the real engine and HTTP: its values equal SQL of the test's own, or say why they can't."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from deploy.embedded.ports import free_ports
from pipeline.api import feed, look
from pipeline.settings import Settings, load
from pipeline.store.client import Pool
from pipeline.store.readers import CountsReader, PlaysReader, TopsReader
from tests.unit.store.conftest import Put, opened, putting, serving
from tests.unit.store.made import T0, counts, play, plays, top

OUTCOMES = ("accepted", "duplicate", "late", "skipped", "suspect", "invalid")


def get(settings: Settings, path: str) -> httpx.Response:
    return httpx.get(f"{settings.store_url}{path}", timeout=30, trust_env=False)


def told(settings: Settings) -> dict[str, Any]:
    """The state, once the engine has told of itself: on a busy machine the first does not wait for that."""
    for state in stream(settings):
        if state["age_seconds"]["clickhouse"] is not None and not state["duplicates_pending"]:
            return state
    raise AssertionError("the stream ended")


@contextmanager
def never_overdue() -> Iterator[None]:
    """A machine that stands still for some seconds is no trouble of the store's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(look, "OVERDUE_SECONDS", 3_600.0)
        yield


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """One store for all tests here that only read, with WRITTEN in it and no Kafka."""
    settings = load(data_dir=tmp_path_factory.mktemp("store"), partitions=2, store_port=free_ports(1)[0])
    with opened(settings) as pool, never_overdue():
        write(putting(pool, settings), settings)
        with serving(pool, settings):
            yield settings


WRITTEN = {p: [play(n, OUTCOMES[n * 7 % 6] if n % 3 else "accepted") for n in range(90 + 30 * p)] for p in (0, 1)}
"""Partition → rows of every outcome."""


def write(put: Put, settings: Settings) -> None:
    """Those rows in batches, with their counts and two lists."""
    rules = settings.rules.fingerprint
    for partition, rows in WRITTEN.items():
        batches, at = [], 0
        for first in range(0, len(rows), 30):
            batches.append(plays(at, rows[first : first + 30], rules, ticks=0))
            at += 1
        batches.append(plays(at, [], rules, first=len(rows), ticks=2, watermark=T0 + 100_000))
        put(PlaysReader(rules), partition, batches)
    for partition, rows in WRITTEN.items():
        panes: Counter[tuple[int, int]] = Counter()
        for row in rows:
            if row["outcome"] == "accepted":
                panes[row["event_time"] // 10_000 * 10_000, row["artist_id"]] += 1
        told = counts(
            partition,
            [(pane, artist, number) for (pane, artist), number in panes.items()],
            counted=len(rows) + 1,
            watermark=T0 + 100_000,
            rules=rules,
        )
        put(CountsReader(rules), 0, [told])
    put(
        TopsReader(),
        0,
        [
            top(T0 + 20_000, 0, [(1, 2)], final=True, counted=1),
            top(T0 + 30_000, 0, [(1, 3)], final=True, counted=2),
            top(T0 + 70_000, 0, [(1, 4)], final=False, counted=3),
        ],
    )


def test_the_state_tells_what_was_written(served: Settings) -> None:
    state = told(served)
    rows = [row for some in WRITTEN.values() for row in some]
    outcomes = Counter(row["outcome"] for row in rows)
    plural = {"duplicate": "duplicates"}
    assert state["totals"] == {plural.get(name, name): outcomes[name] for name in OUTCOMES} | {
        "records": len(rows), "ticks": 4,
    }  # fmt: skip
    assert [
        {name: one[name] for name in ("partition", "records", "accepted", "duplicates", "watermark")}
        for one in state["partitions"]
    ] == [
        {
            "partition": partition,
            "records": len(some),
            "accepted": sum(row["outcome"] == "accepted" for row in some),
            "duplicates": sum(row["outcome"] == "duplicate" for row in some),
            "watermark": iso(T0 + 100_000),
        }
        for partition, some in WRITTEN.items()
    ]
    plays_of = Counter(row["artist_id"] for row in rows if row["outcome"] == "accepted")
    ranked = sorted(plays_of.items(), key=lambda place: (-place[1], place[0]))
    assert [(place["artist_id"], place["plays"]) for place in state["top"]["rows"]] == ranked
    assert (state["top"]["start"], state["top"]["end"]) == (iso(T0 + 100_000 - 3_600_000), iso(T0 + 100_000))
    assert (state["watermark"], state["top"]["source"], state["run"]) == (iso(T0 + 100_000), "panes", served.run)
    assert state["freshness"] == {
        "newest_window_end": iso(T0 + 70_000), "newest_final_end": iso(T0 + 30_000), "final_behind_seconds": 70.0,
    }  # fmt: skip
    now = datetime.fromisoformat(state["at"]).timestamp()
    assert state["event_lag_seconds"] == pytest.approx(now - (T0 + 100_000) / 1000, abs=0.01)


def test_what_can_not_be_told_is_null_and_the_reasons_say_why(served: Settings) -> None:
    told(served)
    state = get(served, "/v1/state").json()
    assert state["ready"] is False
    assert [reason.partition(":")[0] for reason in state["reasons"]] == ["kafka", "sinks", "classify", "rank"]
    assert state["lag"] == {"classify": None, "count": None, "rank": None, "sink": None}
    assert (state["dlq"]["records"], state["age_seconds"]["kafka"]) == (None, None)
    ready = get(served, "/v1/ready")
    assert ready.status_code == 503
    needs = ready.json()["dependencies"]
    assert {name: need["ok"] for name, need in needs.items()} == {
        "kafka": False, "clickhouse": True, "sinks": False, "classify": False, "rank": False,
    }  # fmt: skip
    assert get(served, "/v1/health").json() == {"status": "alive"}


def test_while_clickhouse_is_away_the_stream_goes_on_and_says_so(settings: Settings) -> None:
    away = settings.model_copy(update={"clickhouse_dsn": f"clickhouse://127.0.0.1:{free_ports(1)[0]}/default"})
    with serving(Pool(away), away):
        told = stream(away)
        seen = [next(told) for _ in range(2)]
        assert all(any(reason.startswith("clickhouse: ") for reason in state["reasons"]) for state in seen)
        assert seen[0]["at"] != seen[1]["at"], "not the same once more; that the clock goes on nobody promises"
        assert get(away, "/v1/health").status_code == 200


def stream(settings: Settings) -> Iterator[dict[str, Any]]:
    with httpx.stream("GET", f"{settings.store_url}/v1/live", timeout=30, trust_env=False) as response:
        assert response.status_code == 200
        for line in response.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def test_a_stream_is_server_sent_events_with_a_hint_when_to_come_back(served: Settings) -> None:
    with httpx.stream("GET", f"{served.store_url}/v1/live", timeout=30, trust_env=False) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        assert "content-length" not in response.headers
        lines = response.iter_lines()
        assert [next(lines) for _ in range(3)] == ["retry: 2000", "", "event: state"]
        assert json.loads(next(lines).removeprefix("data: "))["run"] == served.run


def test_one_stream_too_many_is_refused_and_a_place_is_free_when_one_is_gone(
    served: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MOST_LISTENERS", 2)
    first, second = stream(served), stream(served)
    next(first), next(second)
    refused = get(served, "/v1/live")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.headers["content-type"] == "application/problem+json"
    first.close()
    for _ in range(100):
        third = stream(served)
        try:
            next(third)
            break
        except AssertionError:
            next(second)  # about a second, or less
    else:
        raise AssertionError("no place became free")


def test_a_replay_has_no_lag_behind_our_clock(settings: Settings) -> None:
    from pipeline.api.documents import Dependencies, Dependency, Rates
    from pipeline.api.look_store import Stored
    from pipeline.api.state import Told, state_of
    from pipeline.store.queries import Top

    stored = Stored(0.0, {}, {}, T0, Top([], 0, 0, T0, False, ""), 0.0, 0.0, {}, 0, 0, 0)
    well = Dependency(ok=True, reason="")
    needs = Dependencies(kafka=well, clickhouse=well, sinks=well, classify=well, rank=well)
    told = Told(stored, 0.0, None, None, None)
    live, replay = settings, load(data_dir=settings.data_dir, append_time=False)
    lags = [state_of(one, T0 + 1_500, told, Rates(), needs).event_lag_seconds for one in (live, replay)]
    assert lags == [1.5, None]
