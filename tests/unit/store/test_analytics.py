"""Reasonable SQL: admitted, and answered rightly, each against the same computed in Python."""

import re
import statistics
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pipeline
from deploy.embedded.ports import free_ports
from pipeline import demo
from pipeline.drills.matrix import events, processes
from pipeline.drills.oracles import conservation, positions
from pipeline.drills.oracles.replay import checksums
from pipeline.errors import ListeningError
from pipeline.inspector.layers import upserts
from pipeline.inspector.stored import reached_offsets, stored_rows
from pipeline.settings import Settings, load
from pipeline.store import ask
from pipeline.store.client import Pool
from pipeline.store.filtered import filtered_top
from pipeline.store.paging import batches_page, duplicates_page
from pipeline.store.queries import newest_final, outcome_totals, story, top, watermarks
from pipeline.store.timeline import first_pane, is_known, timeline
from pipeline.verify.rows import StoreRows
from pipeline.verify.tables import BATCHES, COUNTS, DUPLICATES, PLAYS, TOPS
from tests.unit.store.conftest import opened, serving
from tests.unit.store.made import T0, event_id
from tests.unit.store.rows import Row, fill, some_artists, some_plays

ROWS = some_plays()
NAMES = {row["artist_id"]: row["name"] for row in some_artists()}
ACCEPTED = [row for row in ROWS if row["outcome"] == "accepted"]
PLAYED = Counter(row["artist_id"] for row in ACCEPTED)
RANKED = sorted(PLAYED.items(), key=lambda entry: (-entry[1], entry[0]))
N = 1_200_000
"""Rows of artist_counts for what must be large."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Pool]]:
    """Also: rows of artist_counts in eight parts, whose `version` is a permutation of 0 … N-1."""
    settings = load(data_dir=tmp_path_factory.mktemp("store"), store_port=free_ports(1)[0])
    with opened(settings) as pool:
        pool.base.command("SYSTEM STOP MERGES")
        fill(pool.base, settings.database)
        for part in range(8):
            number = f"(number * 8 + {part})"
            pool.base.command(
                f"INSERT INTO {settings.database}.artist_counts SELECT fromUnixTimestamp64Milli({T0}, 'UTC'),"
                f" {number}, 0, 1, {number} * 7919 % {N} FROM numbers({N // 8})"
            )
        with serving(pool, settings):
            yield settings, pool


@pytest.fixture(scope="module")
def served(store: tuple[Settings, Pool]) -> Settings:
    return store[0]


def grouped(rows: list[Row], key: str, value: str) -> dict[Any, list[Any]]:
    found = defaultdict(list)
    for row in rows:
        found[row[key]].append(row[value])
    return dict(found)


def minutes(ms: int) -> int:
    return (ms - T0) // 60_000


BY_COUNTRY = grouped(ACCEPTED, "country", "ms_played")
BY_USER = grouped(ROWS, "user_id", "event_time")
BY_PLATFORM = grouped(ROWS, "platform", "artist_id")
LONGEST = max(ROWS, key=lambda row: (row["ms_played"], row["event_time"]))
QUARTERS = Counter(minutes(row["event_time"]) // 15 for row in ACCEPTED)
MOST = max(PLAYED.values())

ANSWERS: list[tuple[str, list[tuple[Any, ...]]]] = [
    (
        "SELECT count() FROM plays FINAL",
        [(len(ROWS),)],
    ),
    (
        "select COUNT(*) as n from plays",
        [(2 * len(ROWS),)],
    ),
    (
        "SELECT outcome, count() FROM plays FINAL GROUP BY outcome ORDER BY outcome",
        sorted(Counter(row["outcome"] for row in ROWS).items()),
    ),
    (
        "SELECT artist_id, count() AS n FROM plays FINAL WHERE outcome = 'accepted' GROUP BY ALL "
        "ORDER BY n DESC, artist_id LIMIT 5",
        RANKED[:5],
    ),
    (
        "SELECT artist_id, countIf(outcome = 'accepted') AS n FROM plays FINAL GROUP BY artist_id "
        "HAVING n > 30 ORDER BY n DESC, 1",
        [entry for entry in RANKED if entry[1] > 30],
    ),
    (
        "SELECT country, round(avg(ms_played), 3), min(ms_played), max(ms_played) FROM plays FINAL "
        "WHERE outcome = 'accepted' GROUP BY country ORDER BY 1",
        [
            (country, round(statistics.fmean(found), 3), min(found), max(found))
            for country, found in sorted(BY_COUNTRY.items())
        ],
    ),
    (
        "SELECT country, quantileExact(0.5)(ms_played), uniqExact(user_id) FROM plays FINAL "
        "GROUP BY country ORDER BY country",
        [
            (country, sorted(found)[len(found) // 2], len({row["user_id"] for row in ROWS if row["country"] == country}))
            for country, found in sorted(grouped(ROWS, "country", "ms_played").items())
        ],
    ),
    (
        "SELECT toDateTime64(toStartOfInterval(event_time, INTERVAL 15 MINUTE), 3, 'UTC') AS quarter, count() "
        "FROM plays FINAL WHERE outcome = 'accepted' GROUP BY quarter ORDER BY quarter",
        [(datetime.fromtimestamp(T0 / 1000 + 900 * quarter, UTC), number) for quarter, number in sorted(QUARTERS.items())],
    ),
    (
        "SELECT toMinute(event_time) AS m, count() FROM plays FINAL GROUP BY m ORDER BY count() DESC, m LIMIT 3",
        sorted(Counter(minutes(row["event_time"]) for row in ROWS).items(), key=lambda entry: (-entry[1], entry[0]))[:3],
    ),
    (
        "SELECT p.artist_id, a.name FROM plays AS p FINAL "
        "LEFT JOIN artists AS a FINAL ON p.artist_id = a.artist_id GROUP BY ALL ORDER BY 1",
        [(artist, NAMES.get(artist, "")) for artist in sorted({row["artist_id"] for row in ROWS})],
    ),
    (
        "SELECT name FROM artists FINAL WHERE artist_id NOT IN (SELECT artist_id FROM plays "
        "WHERE platform = 'web') ORDER BY name",
        sorted((name,) for artist, name in NAMES.items() if artist not in BY_PLATFORM["web"]),
    ),
    (
        "SELECT artist_id FROM artists FINAL WHERE artist_id GLOBAL IN (1, 3, 77) ORDER BY artist_id DESC",
        [(3,), (1,)],
    ),
    (
        "WITH counted AS (SELECT artist_id, count() AS n FROM plays FINAL WHERE outcome = 'accepted' "
        "GROUP BY artist_id), (SELECT max(n) FROM counted) AS most SELECT artist_id, n FROM counted "
        "WHERE n = most ORDER BY artist_id",
        [entry for entry in RANKED if entry[1] == MOST],
    ),
    (
        "SELECT artist_id, row_number() OVER (ORDER BY n DESC, artist_id) AS place "
        "FROM (SELECT artist_id, count() AS n FROM plays FINAL WHERE outcome = 'accepted' "
        "GROUP BY artist_id) QUALIFY place <= 3 ORDER BY place",
        [(RANKED[at][0], at + 1) for at in range(3)],
    ),
    (
        "SELECT source_offset, event_time - lagInFrame(event_time, 1, event_time) "
        "OVER (PARTITION BY source_partition ORDER BY source_offset) < 0 FROM plays FINAL "
        "WHERE source_partition = 0 ORDER BY source_offset LIMIT 3",
        [(at, at > 0 and ROWS[2 * at]["event_time"] < ROWS[2 * at - 2]["event_time"]) for at in range(3)],
    ),
    (
        "SELECT sum(n) OVER (ORDER BY m ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS two "
        "FROM (SELECT toMinute(event_time) AS m, count() AS n FROM plays FINAL GROUP BY m) ORDER BY m "
        "LIMIT 2",
        [(sum(minutes(row["event_time"]) == 0 for row in ROWS),), (sum(minutes(row["event_time"]) < 2 for row in ROWS),)],
    ),
    (
        "SELECT argMax(user_id, (ms_played, event_time)), max(ms_played) FROM plays",
        [(LONGEST["user_id"], LONGEST["ms_played"])],
    ),
    (
        "SELECT platform, arraySort(groupUniqArray(artist_id)) FROM plays GROUP BY platform ORDER BY platform",
        [(platform, sorted(set(found))) for platform, found in sorted(BY_PLATFORM.items())],
    ),
    (
        "SELECT arrayMap((x, y) -> x * y, [1, 2, 3], [4, 5, 6]), arrayFilter(x -> x % 2 = 1, range(6)), [1, 2][-1]",
        [([4, 10, 18], [1, 3, 5], 2)],
    ),
    (
        "SELECT sumMap(map(country, 1))['DE'] FROM plays FINAL",
        [(sum(row["country"] == "DE" for row in ROWS),)],
    ),
    (
        "SELECT uniqExactMerge(s), sumMerge(t) "
        "FROM (SELECT country, uniqExactState(user_id) AS s, sumState(ms_played) AS t FROM plays FINAL "
        "GROUP BY country)",
        [(len(BY_USER), sum(row["ms_played"] for row in ROWS))],
    ),
    (
        "SELECT upper(substring(name, 1, 3)), length(splitByChar(';', name)), name LIKE '%; \\'the%' "
        "FROM artists FINAL ORDER BY artist_id LIMIT 1",
        [("ART", 2, 1)],
    ),
    (
        "SELECT CASE WHEN ms_played < 60000 THEN 'short' ELSE 'long' END AS kind, count() "
        "FROM plays FINAL GROUP BY kind ORDER BY kind",
        sorted(Counter("short" if row["ms_played"] < 60_000 else "long" for row in ROWS).items()),
    ),
    (
        "SELECT formatDateTime(min(event_time), '%Y-%m-%d'), "
        "dateDiff('minute', toDateTime('2027-01-15 08:00:00', 'UTC'), max(event_time)) FROM plays",
        [("2027-01-15", max(minutes(row["event_time"]) for row in ROWS))],
    ),
    (
        "SELECT count() FROM plays FINAL WHERE event_time >= '2027-01-15 08:30:00' "
        "AND event_time < toDateTime64('2027-01-15 08:40:00', 3, 'UTC')",
        [(sum(30 <= minutes(row["event_time"]) < 40 for row in ROWS),)],
    ),
    (
        "SELECT * FROM ((SELECT user_id, count() AS n FROM plays FINAL GROUP BY user_id ORDER BY n DESC, user_id "
        "LIMIT 2) UNION ALL SELECT 0, count() FROM artists FINAL) ORDER BY n DESC, user_id",
        [
            *sorted(((user, len(found)) for user, found in BY_USER.items()), key=lambda entry: (-entry[1], entry[0]))[:2],
            (0, len(NAMES)),
        ],
    ),
    (
        "SELECT * FROM (SELECT artist_id FROM plays INTERSECT DISTINCT SELECT artist_id FROM artists) "
        "ORDER BY artist_id LIMIT 2",
        [(1,), (2,)],
    ),
    (
        "SELECT DISTINCT artist_id FROM plays EXCEPT SELECT artist_id FROM artists ORDER BY artist_id",
        [(10,), (11,)],
    ),
    (
        "((SELECT count() FROM artists))",
        [(2 * len(NAMES),)],
    ),
    (
        "SELECT country, user_id FROM plays FINAL "
        "ORDER BY country, user_id, source_partition, source_offset LIMIT 1 BY country",
        [(country, min(row["user_id"] for row in ROWS if row["country"] == country)) for country in sorted(BY_COUNTRY)],
    ),
    (
        "SELECT country, platform, count() FROM plays FINAL "
        "GROUP BY GROUPING SETS ((country), (platform)) ORDER BY ALL LIMIT 1",
        [("", "android", len(BY_PLATFORM["android"]))],
    ),
    (
        "SELECT * EXCEPT (name) REPLACE (artist_id + 1 AS artist_id) FROM artists FINAL ORDER BY 1 LIMIT 1",
        [(2,)],
    ),
    (
        "SELECT COLUMNS('_id$') FROM plays FINAL WHERE source_partition = 0 AND source_offset = 0",
        [(event_id(0), ROWS[0]["user_id"], ROWS[0]["artist_id"], ROWS[0]["track_id"])],
    ),
    (
        "SELECT a.* FROM artists AS a FINAL ARRAY JOIN [1, 2] AS twice WHERE a.artist_id = 1",
        [(1, NAMES[1])] * 2,
    ),
    (
        "SELECT number, number IN plays_of_one FROM numbers(3) AS n, (SELECT [1, 2] AS plays_of_one) AS o ORDER BY 1",
        [(0, 0), (1, 1), (2, 1)],
    ),
    (
        "SELECT event_id = '" + str(event_id(3)) + "' AS here FROM plays FINAL ORDER BY here DESC LIMIT 1",
        [(1,)],
    ),
    (
        "SELECT toTypeName(event_time), event_time::Date, CAST(1 AS Nullable(UInt8)), toUInt8OrZero('x') FROM plays LIMIT 1",
        [("DateTime64(3, 'UTC')", datetime.fromtimestamp(T0 / 1000, UTC).date(), 1, 0)],
    ),
    (
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 4) SELECT sum(n) FROM r",
        [(10,)],
    ),
    (
        "SELECT m, n FROM (SELECT toInt8(toMinute(event_time)) AS m, count() AS n FROM plays FINAL "
        "WHERE m < 2 GROUP BY m) ORDER BY m DESC WITH FILL FROM 1 TO -2 STEP -1",
        [
            (1, sum(minutes(row["event_time"]) == 1 for row in ROWS)),
            (0, sum(minutes(row["event_time"]) == 0 for row in ROWS)),
            (-1, 0),
        ],
    ),
    (
        "SELECT count(), count(), count() AS n FROM artists -- twice the same",
        [(2 * len(NAMES),) * 3],
    ),
    (
        "SELECT 'a;b', '\\'; DROP TABLE plays; --', $$it's$$, ‘c’ /* ; */",
        [("a;b", "'; DROP TABLE plays; --", "it's", "c")],
    ),
    (
        'SELECT 1 AS "a name", 2 AS `b.c`',
        [(1, 2)],
    ),
    (
        "SELECT count() FROM listening_live.artists AS a WHERE a.artist_id = 1",
        [(2,)],
    ),
    (
        "SELECT round(corr(ms_played, ms_played), 6), median(1), any(2), stddevPop(3) FROM plays",
        [(1.0, 1.0, 2, 0.0)],
    ),
]


@pytest.mark.parametrize(("sql", "expected"), ANSWERS, ids=[sql[:60] for sql, _ in ANSWERS])
def test_reasonable_sql_is_answered_rightly(served: Settings, sql: str, expected: list[tuple[Any, ...]]) -> None:
    table = ask.sql(served, sql)
    assert [tuple(row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)] == expected


def test_parameters_fill_types_of_all_kinds(served: Settings) -> None:
    answer = ask.rows(
        served,
        "SELECT {n:Int64} + 1 AS n, {s:String} AS s, {id:UUID} AS id, {ids:Array(Int64)} AS ids,"
        " {at:DateTime64(3, 'UTC')} = fromUnixTimestamp64Milli({ms:Int64}, 'UTC') AS same, {d:Date} AS d",
        {"n": -5, "s": "'; DROP TABLE plays", "id": str(uuid.UUID(int=7)), "ids": "[1,2]", "at": "2027-01-15 08:00:00.000",
         "ms": T0, "d": "2027-01-15"},
    )  # fmt: skip
    assert answer == [
        {
            "n": -4,
            "s": "'; DROP TABLE plays",
            "id": uuid.UUID(int=7),
            "ids": [1, 2],
            "same": 1,
            "d": datetime.fromtimestamp(T0 / 1000, UTC).date(),
        }
    ]


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM plays WHERE 0", "SELECT count(), name, [artist_id] FROM artists WHERE 0 GROUP BY ALL"]
)
def test_wrapping_changes_neither_names_nor_types_of_an_empty_answer(store: tuple[Settings, Pool], sql: str) -> None:
    settings, pool = store
    with pool.guest() as guest:
        bare = pa.ipc.open_stream(guest.raw_query(sql, fmt="ArrowStream")).read_all()
    assert bare.num_rows == 0
    assert ask.sql(settings, sql).schema == bare.schema


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
def test_a_large_answer_keeps_its_order_over_parts_and_threads(store: tuple[Settings, Pool], direction: str) -> None:
    settings, pool = store
    parts = "SELECT count() FROM system.parts WHERE active AND table = 'artist_counts' AND database = 'listening_live'"
    assert pool.base.query(parts).result_rows[0][0] >= 8
    answer = ask.sql(settings, f"SELECT artist_id, version FROM artist_counts ORDER BY version {direction}")
    versions = answer.column("version").to_numpy()
    expected = np.arange(N)
    assert (versions == (expected if direction == "ASC" else expected[::-1])).all()
    assert (answer.column("artist_id").to_numpy() * 7919 % N == versions).all()


def test_an_order_inside_of_an_order_is_the_outer_one(served: Settings) -> None:
    answer = ask.sql(
        served, "SELECT version FROM (SELECT * FROM artist_counts ORDER BY version) ORDER BY version DESC LIMIT 3"
    )
    assert answer.column("version").to_pylist() == [N - 1, N - 2, N - 3]


def test_everything_that_this_program_asks_is_admitted(served: Settings) -> None:
    """Each module that asks is named here: another one must be added, with what it asks."""
    folder = Path(pipeline.__file__).parent
    asking = {
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        if re.search(r"from pipeline\.store(\.ask)? import .*\b(ask|sql|rows)\b", path.read_text())
    }
    assert asking == {
        *("cli.py", "demo.py", "verify/verify.py", "doctor/store.py"),  # the last asks GET /ready alone
        *("store/queries.py", "store/story.py", "store/watermarks.py", "inspector/stored.py", "inspector/layers.py"),
        *("store/filtered.py", "store/timeline.py", "store/paging.py"),
        *("drills/oracles/conservation.py", "drills/oracles/positions.py", "drills/oracles/watch.py"),
        *("drills/oracles/replay.py", "drills/matrix/events.py", "drills/matrix/processes.py"),
        "drills/matrix/disks.py",  # GET /ready
    }
    two = served.model_copy(update={"shards": 2})
    top(served, 3, 60, T0 + 60_000)
    top(served, 3, 60)
    newest_final(two, 3)
    watermarks(served)
    filtered_top(served, 3, 60, T0 + 60_000, country="DE", platform="web")
    assert len(timeline(served, T0, T0 + 60_000, 10_000, artist_id=1)) == 6
    assert first_pane(served)
    is_known(served, 1)
    equal = {"service": "a", "platform": "web", "country": "DE", "artist_id": 1, "user_id": 1}
    duplicates_page(served, equal, T0, T0 + 1, 5, after=(0, 0))
    batches_page(served, 0, 5, before=(T0, 0, 0))
    outcome_totals(served)
    assert len(story(served, event_id(0))) == 1
    assert stored_rows(served, {0: 0}).height == 1
    reached_offsets(served)
    upserts(served)
    with pytest.raises(ValueError, match="not enough values"):
        demo.copied_event(served)
    rows = StoreRows(lambda query: ask.sql(served, query))
    for shape in (PLAYS, DUPLICATES, COUNTS, TOPS, BATCHES):
        rows.rows(shape, 0, None)
        rows.rows(shape, 1, 100)
    assert rows.rows(PLAYS, 0, 10).num_rows == 20
    assert set(checksums(served)) == {"plays", "duplicates", "artist_counts", "top_artists", "batches"}
    for query in (conservation.QUERY, positions.STORED, events.OUT_OF_ORDER, events.HOTTEST, processes.SHOWN):
        ask.rows(served, query)


def test_no_answer_without_the_two_that_follow_a_refusal(served: Settings) -> None:
    for _ in range(3):
        with pytest.raises(ListeningError):
            ask.sql(served, "SELECT url('x')")
        assert ask.rows(served, "SELECT 1 AS one") == [{"one": 1}]
