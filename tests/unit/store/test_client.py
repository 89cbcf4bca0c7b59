"""Clients of the embedded engine, as it really behaves."""

import asyncio
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from pipeline.errors import RefusedError
from pipeline.settings import Settings
from pipeline.store import app, client
from pipeline.store.client import GUEST_SETTINGS, GUESTS, Pool
from pipeline.store.sinks import Sinks
from pipeline.store.tables import rows_of
from pipeline.store.writer import ClickHouseWriter
from tests.conftest import settings_env

SECONDS = 120
ENDLESS = "SELECT count() FROM numbers(100000) AS a, numbers(100000) AS b, numbers(100000) AS c"


def test_a_second_process_is_refused_and_told_who_has_the_store(pool: Pool, settings: Settings) -> None:
    script = (
        "from pipeline.settings import load\nfrom pipeline.store.client import Pool\n"
        "from pipeline.errors import RefusedError\n"
        "try:\n    Pool(load())\nexcept RefusedError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=settings_env(settings),
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    assert "another process (pid" in done.stdout
    assert "LISTENING_RUN" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""
    assert pool.base.query("SELECT 1").result_rows == [(1,)]


def test_a_closed_store_can_be_opened_again(settings: Settings) -> None:
    for _ in range(2):
        pool = Pool(settings)
        pool.base.command("CREATE TABLE IF NOT EXISTS default.kept (a Int8) ENGINE = MergeTree ORDER BY a")
        pool.base.command("INSERT INTO default.kept VALUES (1)")
        rows = pool.base.query("SELECT count() FROM default.kept").result_rows
        pool.close()
    assert rows == [(2,)]


def test_a_folder_that_can_not_be_opened_is_refused_in_a_sentence(settings: Settings) -> None:
    settings.run_dir.mkdir(parents=True)
    (settings.run_dir / "store").write_text("a file, not a folder")
    with pytest.raises(RefusedError, match="can't open"):
        Pool(settings)


def test_asynchronous_inserts_are_off(pool: Pool) -> None:
    query = "SELECT value FROM system.settings WHERE name = 'async_insert'"
    assert pool.writer().query(query).result_rows == [("0",)]


def test_an_insert_does_not_wait_for_a_user_s_query(pool: Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GUEST_SETTINGS, "max_execution_time", "500")
    asked, outcome = threading.Event(), []

    def read() -> None:
        with pool.guest() as guest:
            asked.set()
            try:
                guest.query(ENDLESS)
            except DatabaseError as error:
                outcome.append(error)

    reading = threading.Thread(target=read)
    reading.start()
    assert asked.wait(SECONDS)
    while not _is_at_work(pool):
        assert not outcome, outcome
    writer = ClickHouseWriter(pool.writer(), settings.database)
    writer.write("artists", rows_of("artists", [{"artist_id": 1, "name": "a"}]))
    # Were the insert to wait for the query, there would be none at work to be killed now.
    killed = _kill_endless(pool)
    reading.join(SECONDS)
    assert killed
    assert outcome


def _is_at_work(pool: Pool) -> bool:
    return bool(pool.base.query("SELECT 1 FROM system.processes WHERE query LIKE '%numbers(100000) AS c%'").row_count > 1)


def _kill_endless(pool: Pool) -> bool:
    for _ in range(100):
        if pool.base.query("KILL QUERY WHERE query LIKE '%numbers(100000)%' AND query NOT LIKE '%KILL%' SYNC").result_rows:
            return True
    return False


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE artists",
        "INSERT INTO artists VALUES (1, 'x')",
        "CREATE TEMPORARY TABLE t (a Int8)",
        "SELECT 1 SETTINGS max_execution_time = 1000",
    ],
)
def test_a_guest_can_neither_write_nor_raise_its_limits(pool: Pool, statement: str) -> None:
    with pytest.raises(DatabaseError, match="readonly"), pool.guest() as guest:
        guest.command(statement)


def test_a_guest_is_thrown_away_after_an_error_and_kept_otherwise(pool: Pool) -> None:
    with pool.guest() as first:
        first.query("SELECT 1")
    with pool.guest() as again:
        assert again is first
    with pytest.raises(DatabaseError), pool.guest() as second:
        second.query("SELECT nothing")
    with pool.guest() as third:
        assert third is not first
        assert third.query("SELECT 2").result_rows == [(2,)]
    assert not pool.busy


def test_a_result_that_is_too_large_is_refused_and_the_engine_lives_on(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GUEST_SETTINGS, "max_execution_time", "500")  # it is not the time that is to stop it
    with pytest.raises(DatabaseError, match="Limit for result exceeded"), pool.guest() as guest:
        guest.raw_query("SELECT number FROM numbers(6000000)", fmt="ArrowStream")
    with pytest.raises(DatabaseError, match="memory"), pool.guest() as guest:
        guest.query("SELECT groupArray(number) FROM numbers(1000000000)")
    with pool.guest() as guest:
        assert guest.query("SELECT 1").result_rows == [(1,)]


def test_more_queries_than_may_wait_are_refused_at_once_and_keep_nobody_else_waiting(
    pool: Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "GUESTS", 1)
    monkeypatch.setattr(app, "WAITING", 0)
    monkeypatch.setattr(client, "GUEST_WAIT_SECONDS", SECONDS)
    store = app.make_app(settings, pool, Sinks(settings, pool))

    async def test() -> None:
        # In one loop, so that all three really come at once.
        async with httpx.AsyncClient(transport=httpx.ASGITransport(store), base_url=settings.store_url) as http:
            with ExitStack() as seats:
                for _ in range(GUESTS):
                    seats.enter_context(pool.guest())
                sent = [asyncio.create_task(http.post("/sql", content="SELECT 1")) for _ in range(3)]
                refused = [await done for _, done in zip(range(2), asyncio.as_completed(sent, timeout=60), strict=False)]
                assert [answer.status_code for answer in refused] == [503, 503]
                assert (await http.get("/")).status_code == 200
            assert sorted([(await one).status_code for one in sent]) == [200, 503, 503]

    asyncio.run(test())
