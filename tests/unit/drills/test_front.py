"""The ClickHouse front, asked by ClickHouse's own Python client and by plain HTTP."""

from collections.abc import Iterator
from typing import Any

import clickhouse_connect
import httpx
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from pipeline.drills.front_process import Front, front


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with front(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def client(server: Front) -> Iterator[Any]:
    client = clickhouse_connect.get_client(dsn=server.dsn)
    client.command("CREATE OR REPLACE TABLE t (a Int64, b String) ENGINE = MergeTree ORDER BY a")
    yield client
    client.close()


def ask(server: Front, **parameters: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{server.port}/", params=parameters, timeout=120, trust_env=False)


def test_a_compressed_insert_in_chunks_is_read_back_with_parameters(client: Any) -> None:
    client.insert("t", [[number, f"text {number}"] for number in range(1000)], column_names=["a", "b"])
    rows = client.query("SELECT b FROM t WHERE a = {a:Int64}", parameters={"a": 999}).result_rows
    assert rows == [("text 999",)]


def test_a_session_keeps_its_temporary_tables_and_others_don_t_see_them(client: Any, server: Front) -> None:
    client.command("CREATE TEMPORARY TABLE mine (a Int8)")
    assert client.query("SELECT count() FROM mine").result_rows == [(0,)]
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        clickhouse_connect.get_client(dsn=server.dsn).query("SELECT count() FROM mine")


def test_settings_hold_for_their_own_request_only(client: Any) -> None:
    query = "SELECT getSetting('max_block_size')"
    assert client.command(query, settings={"max_block_size": 7}) == 7
    assert client.command(query) != 7


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("SELECT nothing", 404, "47"),
        ("SELECT (", 400, "62"),
        ("SELECT 1; SELECT 2", 400, "62"),
        ("DROP TABLE t", 500, "164"),
    ],
)
@pytest.mark.usefixtures("client")  # whose table is there
def test_an_error_has_clickhouse_s_code_and_status(server: Front, query: str, status: int, code: str) -> None:
    answer = ask(server, query=query)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (status, code)


def test_a_get_reads_but_doesn_t_write(client: Any, server: Front) -> None:
    client.command("INSERT INTO t VALUES (1, 'x')")
    assert ask(server, query="SELECT a, b FROM t").text == "1\tx\n"
    assert ask(server, query="TRUNCATE TABLE t").status_code == 500


def test_a_lost_answer_was_applied_a_refused_insert_was_not(client: Any, server: Front) -> None:
    server.faults(errors=1, code=252)
    with pytest.raises(DatabaseError, match="TOO_MANY_PARTS"):
        client.raw_insert("t", ["a", "b"], "1\tx\n", fmt="TabSeparated")
    assert client.query("SELECT count() FROM t").result_rows == [(0,)]
    server.faults(lose=2)  # the client offers it once more by itself
    with pytest.raises(OperationalError):
        client.raw_insert("t", ["a", "b"], "1\tx\n", fmt="TabSeparated")
    assert client.query("SELECT count() FROM t").result_rows == [(2,)]


def test_a_fault_that_does_not_exist_is_refused(server: Front) -> None:
    with pytest.raises(httpx.HTTPStatusError):
        server.faults(nonsense=1)
