"""The questions over HTTP, against plain Python over the rows of a small log."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from pipeline.settings import Settings
from pipeline.store.client import Pool
from pipeline.store.readers import PlaysReader
from pipeline.store.records import Record
from pipeline.store.writer import ClickHouseWriter
from tests.unit.api.log import (
    BATCH,
    COUNTRIES,
    GRACE,
    NAMED,
    ONLY_NAMED,
    PANE,
    PLATFORMS,
    ROWS,
    SERVICES,
    WINDOW,
    Log,
    Row,
    finals,
    made_log,
    stored,
)  # fmt: skip
from tests.unit.store.conftest import serving
from tests.unit.store.made import T0, event_id, play, plays

Get = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def log() -> Log:
    return made_log()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, log: Log) -> Iterator[tuple[Settings, Pool]]:
    """Nothing is kept: every answer is as the tables are."""
    with stored(tmp_path_factory.mktemp("store"), log, api_cache_seconds=0) as (settings, pool), serving(pool, settings):
        yield settings, pool


@pytest.fixture(scope="module")
def get(store: tuple[Settings, Pool]) -> Iterator[Get]:
    with httpx.Client(base_url=store[0].store_url, trust_env=False, timeout=30) as client:
        yield lambda path, **query: client.get(f"/v1/{path}", params=query)


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def listed(answer: dict[str, Any]) -> list[tuple[int, int]]:
    assert [row["rank"] for row in answer["rows"]] == list(range(1, len(answer["rows"]) + 1))
    assert all(row["name"] == NAMED.get(row["artist_id"]) for row in answer["rows"])
    return [(row["artist_id"], row["plays"]) for row in answer["rows"]]


SPANS = [(600, 15), (20, 5), (1200, 25), (86_400, 60)]
"""Length in seconds, and where it ends in minutes after T0: the last lies ahead of all plays."""
AMONG: list[dict[str, str]] = [
    {}, {"country": "DE"}, {"platform": "car"}, {"country": "JP", "platform": "web"}, {"country": "FR"},
]  # fmt: skip


@pytest.mark.parametrize("among", AMONG)
@pytest.mark.parametrize(("window", "minutes"), SPANS)
def test_the_top_artists_of_any_window_country_and_platform(
    get: Get, log: Log, window: int, minutes: int, among: dict[str, str]
) -> None:
    at = T0 + minutes * 60_000
    answer = get("top-artists", k=7, window=window, at=iso(at), **among).json()
    expected = log.ranked(at - window * 1000, at, 7, lambda row: all(row[name] == value for name, value in among.items()))
    assert listed(answer) == expected
    assert (answer["start"], answer["end"], answer["window_seconds"]) == (iso(at - window * 1000), iso(at), window)
    assert answer["final"] == (at <= log.watermark - GRACE)
    assert answer["watermark"] == iso(log.watermark)
    assert answer["source"] == ("plays" if among else "panes")


@pytest.mark.parametrize("among", [{}, {"platform": "ios"}])
def test_by_default_the_window_is_the_run_s_and_ends_at_the_watermark(get: Get, log: Log, among: dict[str, str]) -> None:
    end = log.watermark // PANE * PANE
    answer = get("top-artists", **among).json()
    wanted = among.get("platform")
    assert listed(answer) == log.ranked(end - WINDOW, end, 10, lambda row: wanted in (None, row["platform"]))
    assert (answer["end"], answer["window_seconds"], answer["run"]) == (iso(end), WINDOW // 1000, "live")
    assert (answer["final"], answer["note"], answer["max_age_ms"]) == (False, "", 0)


def test_what_is_rounded_is_said(get: Get) -> None:
    for among in ({}, {"country": "BR"}):
        answer = get("top-artists", window=65, at="2027-01-15T09:10:03.456+01:00", **among).json()
        assert (answer["start"], answer["end"], answer["window_seconds"]) == (iso(T0 + 540_000), iso(T0 + 600_000), 60)
        assert "rounded down to 2027-01-15 08:10:00 UTC" in answer["note"]
        assert "65 s was rounded to 60 s" in answer["note"]


def test_the_published_list_is_the_newest_final_one(get: Get, log: Log) -> None:
    end = finals(log)[-1]
    newest = get("top-artists", published=True, k=5).json()
    assert listed(newest) == log.ranked(end - WINDOW, end, 5)
    assert (newest["end"], newest["final"], newest["source"]) == (iso(end), True, "published")
    before = get("top-artists", published=True, k=5, at=iso(T0 + 605_000), window=WINDOW // 1000).json()
    assert before["end"] == iso(T0 + 600_000)
    none = get("top-artists", published=True, at=iso(T0)).json()
    assert (none["rows"], none["start"], none["end"], none["final"]) == ([], None, None, False)
    assert "no final list" in none["note"]


@pytest.mark.parametrize(("first", "last", "step"), [(0, 1200, 60), (100, 500, 20), (0, 1500, 300), (-600, 3600, 3600)])
def test_a_timeline_counts_every_step_also_empty_ones(get: Get, log: Log, first: int, last: int, step: int) -> None:
    start, end = T0 + first * 1000, T0 + last * 1000
    start, end = start - start % (step * 1000), end - end % (step * 1000)
    span = {"from": iso(T0 + first * 1000), "to": iso(T0 + last * 1000), "step": step}
    for path, artist_id in (("timeline", None), ("artists/1/timeline", 1), (f"artists/{ONLY_NAMED}/timeline", ONLY_NAMED)):
        answer = get(path, **span).json()
        expected = log.steps(start, end, step * 1000, artist_id)
        assert [(point["start"], point["plays"]) for point in answer["points"]] == [(iso(at), n) for at, n in expected]
        assert answer["step_seconds"] == step
    assert sum(plays for _, plays in expected) == 0


def test_a_timeline_is_by_default_the_last_window_in_whole_steps(get: Get, log: Log) -> None:
    answer, end = get("timeline").json(), log.watermark // PANE * PANE
    start = (log.watermark - WINDOW) // PANE * PANE
    assert [(point["start"], point["plays"]) for point in answer["points"]] == [
        (iso(at), plays) for at, plays in log.steps(start, end, PANE)
    ]
    assert (answer["watermark"], answer["step_seconds"], answer["note"]) == (iso(log.watermark), 20, "")
    assert answer["first"] == iso(min(row["event_time"] for row in log.of("accepted")) // PANE * PANE)
    long = get("timeline", to=iso(T0 + 3600_000), **{"from": iso(T0 - 3600_000)}).json()
    assert (long["step_seconds"], len(long["points"])) == (60, 120)
    assert "still to come" in long["note"]
    ahead = get("timeline", **{"from": "2030-01-01"}).json()
    assert ahead["points"] == []


def test_what_a_timeline_rounds_is_said(get: Get) -> None:
    answer = get("timeline", step=50, to=iso(T0 + 73_000), **{"from": iso(T0 + 7_000)}).json()
    assert [point["start"] for point in answer["points"]] == [iso(T0)]
    assert answer["step_seconds"] == 40
    assert "the step 50 s was rounded to 40 s, whole panes of 20 s" in answer["note"]
    assert "2027-01-15 08:00:00 UTC until 2027-01-15 08:00:40 UTC, whole steps of 40 s" in answer["note"]


def test_an_artist_whom_nobody_played_or_named_is_unknown(get: Get) -> None:
    answer = get("artists/4711/timeline")
    assert answer.status_code == 404
    assert "artist 4711" in answer.json()["detail"]
    assert get(f"artists/{ONLY_NAMED}/timeline").json()["name"] == "Only a name"


def pages(get: Get, path: str, **query: Any) -> list[list[Row]]:
    """All pages from first to last, without what is told of their age."""
    found = list[list[Row]]()
    cursor: dict[str, str] = {}
    while not found or cursor:
        answer = get(path, **query, **cursor)
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["rows"])
        cursor = {"cursor": answer.json()["next"]} if answer.json()["next"] else {}
    return found


def as_duplicate(row: Row) -> Row:
    told = {name: row[name] for name in ("partition", "offset", "first_offset", "user_id", "artist_id", "track_id")}
    told |= {name: row[name] for name in ("platform", "service", "country")}
    told |= {name: iso(row[name]) for name in ("played_at", "sent_at", "appended_at")}
    return told | {"event_id": str(uuid.UUID(bytes=row["event_id"]))}


EQUAL = [
    {}, {"service": SERVICES[1]}, {"platform": PLATFORMS[0], "country": COUNTRIES[1]}, {"artist_id": 1}, {"user_id": 1007},
    {"country": "FR"},
]  # fmt: skip


@pytest.mark.parametrize("equal", EQUAL)
@pytest.mark.parametrize("limit", [19, 500])
def test_pages_of_duplicates_hold_each_once_in_order(get: Get, log: Log, equal: Row, limit: int) -> None:
    wanted = [row for row in log.of("duplicate") if all(row[name] == value for name, value in equal.items())]
    wanted.sort(key=lambda row: (row["partition"], row["offset"]))
    found = pages(get, "duplicates", limit=limit, **equal)
    assert [row for page in found for row in page] == [as_duplicate(row) for row in wanted]
    assert all(len(page) == limit for page in found[:-1])
    assert found == [[]] or all(found)


def test_duplicates_of_a_span_are_those_by_event_time(get: Get, log: Log) -> None:
    times = sorted(row["event_time"] for row in log.of("duplicate"))
    first, last = times[len(times) // 3], times[len(times) // 2]
    found = pages(get, "duplicates", to=iso(last), limit=50, **{"from": iso(first)})
    wanted = sum(first <= time < last for time in times)
    assert 0 < wanted == sum(map(len, found))


def test_pages_are_not_shifted_by_what_comes_meanwhile(get: Get, log: Log, store: tuple[Settings, Pool]) -> None:
    settings, pool = store
    first = get("duplicates", limit=20).json()
    rows = [play(ROWS + 1, "duplicate", first_offset=0, artist_id=99), play(ROWS + 2, "skipped")]
    reader = PlaysReader(settings.rules.fingerprint, {0: ROWS + 1})
    made = plays(ROWS // BATCH + 1, rows, settings.rules.fingerprint, first=ROWS + 1, watermark=T0 + 9_000_000)
    for table, some in reader.read(Record(0, ROWS // BATCH + 1, *made)) or []:
        ClickHouseWriter(pool.base, settings.database).write(table, some)
    try:
        second = get("duplicates", limit=500, cursor=first["next"]).json()["rows"]
        places = [(row["partition"], row["offset"]) for row in first["rows"] + second]
        assert places == sorted({*places})
        assert {(row["partition"], row["offset"]) for row in log.of("duplicate")} | {(0, ROWS + 1)} == {*places}
    finally:
        for table in ("duplicates", "batches"):
            column = "source_offset" if table == "duplicates" else "first_offset"
            pool.base.command(f"DELETE FROM {settings.database}.{table} WHERE source_partition = 0 AND {column} > {ROWS}")


def test_the_story_of_a_play_tells_all_its_copies(get: Get, log: Log) -> None:
    copied = max(
        (row for row in log.of("accepted")),
        key=lambda row: sum(other["event_id"] == row["event_id"] for other in log.of("duplicate")),
    )
    copies = [row for row in log.of("accepted", "duplicate") if row["event_id"] == copied["event_id"]]
    answer = get(f"plays/{uuid.UUID(bytes=copied['event_id'])}").json()
    mine = [copy for copy in answer["copies"] if copy["event_id"] == answer["event_id"]]
    assert len(copies) > 2
    assert [(copy["partition"], copy["offset"], copy["outcome"], copy["first_offset"]) for copy in mine] == [
        (row["partition"], row["offset"], row["outcome"], copied["offset"]) for row in copies
    ]
    assert {copy["artist"] for copy in mine} == {NAMED.get(copied["artist_id"])}
    assert [copy["sent_at"] for copy in mine] == [iso(row["sent_at"]) for row in copies]


def test_of_a_play_that_is_not_stored_is_said_what_it_may_be(get: Get, log: Log) -> None:
    skipped = next(row for row in log.of("skipped"))
    for wanted in (uuid.UUID(bytes=skipped["event_id"]), event_id(10**6)):
        answer = get(f"plays/{wanted}")
        assert answer.status_code == 404
        assert "skipped ones are only counted" in answer.json()["detail"]


@pytest.mark.parametrize("partition", [None, 0, 2, 9])
@pytest.mark.parametrize("limit", [2, 500])
def test_pages_of_batches_hold_each_once_newest_first(get: Get, log: Log, partition: int | None, limit: int) -> None:
    query = {} if partition is None else {"partition": partition}
    found = [row for page in pages(get, "batches", limit=limit, **query) for row in page]
    wanted = [batch for batch in log.batches if partition in (None, batch["source_partition"])]
    wanted.sort(key=lambda batch: (batch["watermark"], batch["source_partition"], batch["first_offset"]), reverse=True)
    assert found == [batch | {"watermark": iso(batch["watermark"])} for batch in wanted]


WRONG: list[tuple[str, dict[str, Any], list[str]]] = [
    ("top-artists", {"k": 0, "window": 10**9, "at": "yesterday"}, ["query.k", "query.window", "query.at"]),
    ("top-artists", {"k": 10_001}, ["query.k"]),
    ("top-artists", {"window": 366 * 86_400 + 1}, ["query.window"]),
    ("top-artists", {"at": "1969-12-31T23:59:59Z"}, ["query.at"]),
    ("top-artists", {"published": True, "country": "DE"}, ["query", "leave out"]),
    ("top-artists", {"published": True, "window": 60}, ["query.window", "published lists are of 600 s"]),
    ("top-artists", {"artist": 5}, ["query.artist"]),
    ("top-artists", {"k": [5, 6]}, ["query.k", "more than once"]),
    ("timeline", {"from": "2027-01-02", "to": "2027-01-01"}, ["from must lie before to"]),
    ("timeline", {"from": "2027-01-01", "to": "2027-02-01", "step": 60}, ["query.step", "choose a step of 1340 s"]),
    ("artists/0/timeline", {}, ["path.artist_id"]),
    ("duplicates", {"cursor": "AAAA", "limit": 5}, ["query.cursor"]),
    (
        "duplicates",
        {"limit": 501, "platform": "fridge", "service": "x'"},
        ["query.limit", "query.platform", "query.service"],
    ),
    ("batches", {"partition": -1}, ["query.partition"]),
    ("plays/none", {}, ["path.event_id"]),
]


@pytest.mark.parametrize(("path", "query", "named"), WRONG)
def test_a_wrong_parameter_is_named(get: Get, path: str, query: dict[str, Any], named: list[str]) -> None:
    answer = get(path, **query)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert all(name in answer.json()["detail"] for name in named), answer.json()["detail"]


def test_the_shortest_step_that_is_told_is_one_that_works(get: Get) -> None:
    span = {"from": "2027-01-01", "to": "2027-02-01"}
    assert len(get("timeline", step=1340, **span).json()["points"]) <= 2000
    assert get("timeline", step=1320, **span).status_code == 400
