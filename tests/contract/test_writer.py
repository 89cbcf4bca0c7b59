"""What every Writer does, whatever is behind it."""

import itertools
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.drills.front_process import Front, front
from pipeline.errors import UnavailableError
from pipeline.settings import load
from pipeline.store import migrate
from pipeline.store.client import Pool
from pipeline.store.tables import SCHEMAS, rows_of
from pipeline.store.writer import ClickHouseWriter, MemoryWriter, Writer

_runs = itertools.count(1)
IDENTITY = {"plays": ("source_partition", "source_offset"), "artists": ("artist_id",)}


class Memory:
    """The in-memory writer; what ReplacingMergeTree would leave is folded here."""

    def __init__(self) -> None:
        self.writer: Writer = MemoryWriter()

    def stored(self, table: str) -> list[dict[str, Any]]:
        assert isinstance(self.writer, MemoryWriter)
        rows = [row for part in self.writer.tables.get(table, []) for row in part.to_pylist()]
        newest = {tuple(row[name] for name in IDENTITY[table]): row for row in rows}
        return [newest[key] for key in sorted(newest)]


class ClickHouse:
    """The ClickHouse writer, over the embedded engine or over a server."""

    def __init__(self, pool: Pool, database: str) -> None:
        self._pool, self._database = pool, database
        self.writer: Writer = ClickHouseWriter(pool.writer(), database)

    def stored(self, table: str) -> list[dict[str, Any]]:
        order = ", ".join(IDENTITY[table])
        read = self._pool.base.query_arrow(f"SELECT * FROM {self._database}.{table} FINAL ORDER BY {order}")
        return [
            {name: value.bytes if isinstance(value, uuid.UUID) else value for name, value in row.items()}
            for row in read.to_pylist()
        ]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with front(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(params=["memory", "embedded", "server"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Memory | ClickHouse]:
    if request.param == "memory":
        yield Memory()
        return
    dsn = request.getfixturevalue("server").dsn if request.param == "server" else None
    settings = load(data_dir=tmp_path, clickhouse_dsn=dsn, run=f"t{next(_runs)}")
    pool = Pool(settings)
    migrate.migrate(pool.base, settings.database, migrate.load())
    yield ClickHouse(pool, settings.database)
    pool.close()


def play(offset: int, outcome: str) -> dict[str, Any]:
    times = dict.fromkeys(("event_time", "played_at", "sent_at", "appended_at"), 1_800_000_000_123 + offset)
    numbers = dict.fromkeys(("user_id", "artist_id", "track_id", "ms_played"), 7)
    texts = {"platform": "web", "service": "own", "country": "DE", "outcome": outcome}
    return {"source_partition": 1, "source_offset": offset, "event_id": uuid.uuid4().bytes} | times | numbers | texts


def test_rows_are_read_back_as_they_were_written(backend: Memory | ClickHouse) -> None:
    rows = rows_of("plays", [play(0, "accepted"), play(2**40, "late")])
    backend.writer.write("plays", rows)
    assert backend.stored("plays") == rows.to_pylist()


def test_a_row_of_the_same_identity_replaces_the_earlier_one(backend: Memory | ClickHouse) -> None:
    for outcome in ("late", "accepted"):
        backend.writer.write("plays", rows_of("plays", [play(offset, outcome) for offset in range(3)]))
    assert [row["outcome"] for row in backend.stored("plays")] == ["accepted"] * 3


def test_a_row_that_is_twice_in_one_insert_is_stored_once(backend: Memory | ClickHouse) -> None:
    one, other = play(7, "accepted"), play(8, "late")
    backend.writer.write("plays", rows_of("plays", [one, other, one]))
    assert backend.stored("plays") == rows_of("plays", [one, other]).to_pylist()


def test_tables_whose_texts_have_other_dictionaries_are_put_together(backend: Memory | ClickHouse) -> None:
    words = [("web", "own", "DE"), ("ios", "other", "FR"), ("web", "third", "DE"), ("tv", "own", "SE")]
    parts = [
        rows_of("plays", [play(offset, "accepted") | dict(zip(("platform", "service", "country"), texts, strict=True))])
        for offset, texts in enumerate(words)
    ]
    backend.writer.write("plays", pa.concat_tables(parts))
    assert backend.stored("plays") == [row for part in parts for row in part.to_pylist()]
    assert [(row["platform"], row["service"], row["country"]) for row in backend.stored("plays")] == words


def test_writing_nothing_is_allowed(backend: Memory | ClickHouse) -> None:
    backend.writer.write("artists", SCHEMAS["artists"].empty_table())
    assert backend.stored("artists") == []


def test_an_unknown_table_is_refused(backend: Memory | ClickHouse) -> None:
    with pytest.raises(UnavailableError, match="no table nowhere"):
        backend.writer.write("nowhere", pa.table({"a": [1]}))


def test_other_columns_or_types_than_the_table_s_are_refused_for_good(backend: Memory | ClickHouse) -> None:
    for rows in (pa.table({"artist_id": ["x"], "name": ["y"]}), pa.table({"artist_id": [1]})):
        with pytest.raises(UnavailableError, match="artists"):
            backend.writer.write("artists", rows)
    assert backend.stored("artists") == []
