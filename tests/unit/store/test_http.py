"""The store's HTTP and its client, over a real server and engine."""

import json
import uuid
from collections.abc import Iterator

import httpx
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from deploy.embedded.ports import free_ports
from pipeline import cli
from pipeline.errors import Exit, ListeningError, UnavailableError
from pipeline.settings import Settings, load
from pipeline.store import ask
from pipeline.store.tables import SCHEMAS
from tests.unit.store.conftest import opened, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """One store for all tests here: they only read."""
    settings = load(data_dir=tmp_path_factory.mktemp("store"), store_port=free_ports(1)[0])
    with opened(settings) as pool, serving(pool, settings):
        yield settings


def post(settings: Settings, sql: str, **named: object) -> httpx.Response:
    return httpx.post(f"{settings.store_url}/sql", content=sql, timeout=120, trust_env=False, **named)  # type: ignore[arg-type]


def test_an_answer_comes_as_an_arrow_table(served: Settings) -> None:
    table = ask.sql(served, "SELECT number, toString(number) AS text FROM numbers(3) -- that is all")
    assert table.schema.names == ["number", "text"]
    assert table.to_pylist() == [{"number": n, "text": str(n)} for n in range(3)]


def test_an_empty_answer_has_columns(served: Settings) -> None:
    answer = ask.sql(served, "SELECT artist_id, name FROM artists")
    assert (answer.num_rows, answer.schema.names) == (0, ["artist_id", "name"])


def test_the_schema_tells_tables_and_columns_as_the_migrations_made_them(served: Settings) -> None:
    tables = ask.schema(served)
    assert {*SCHEMAS, "top_artists_merged", "migrations"} == set(tables)
    assert tables["artists"] == {"artist_id": "Int64", "name": "String"}
    for name, schema in SCHEMAS.items():
        assert sorted(tables[name]) == sorted(schema.names)


def test_the_command_prints_the_schema_and_wants_a_query_otherwise(
    served: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTENING_STORE_PORT", str(served.store_port))
    shown = CliRunner().invoke(cli.app, ["sql", "--schema", "--json"])
    assert json.loads(shown.stdout) == ask.schema(served)
    assert "top_artists_merged" in CliRunner().invoke(cli.app, ["sql", "--schema"]).stdout
    assert json.loads(CliRunner().invoke(cli.app, ["sql", "--json", "SELECT 1 AS one"]).stdout) == [{"one": 1}]
    assert CliRunner().invoke(cli.app, ["sql"]).exit_code == Exit.USAGE


@pytest.mark.parametrize("sql", ["SHOW TABLES", "DESCRIBE plays", "EXISTS TABLE plays"])
def test_who_asks_what_there_is_is_told_in_the_refusal(served: Settings, sql: str) -> None:
    with pytest.raises(ListeningError, match=r"listening sql --schema.*artists, .*plays"):
        ask.sql(served, sql)


def test_parameters_are_bound_not_pasted(served: Settings) -> None:
    hostile = "x' OR 1 = 1 --"
    table = ask.sql(served, "SELECT {text:String} AS a, {n:UInt32} AS b, {id:UUID} AS c", {
        "text": hostile, "n": 7, "id": str(uuid.UUID(int=5)),
    })  # fmt: skip
    assert table.to_pylist() == [{"a": hostile, "b": 7, "c": uuid.UUID(int=5)}]


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("SELECT nothing", "UNKNOWN_IDENTIFIER"),
        ("SELECT * FROM nowhere", "UNKNOWN_TABLE"),
        ("SELECT * FROM nowhere", "this run has artist_counts, artists, "),
        ("SELECT (", "Syntax error"),
        ("SELECT {n:UInt32}", "n"),
        ("DROP TABLE plays", "must begin with SELECT or WITH"),
        ("SELECT 1; SELECT 2", "one SQL statement"),
    ],
)
def test_an_error_is_a_problem_document_with_the_engine_s_sentence(served: Settings, sql: str, sentence: str) -> None:
    response = post(served, sql)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert sentence in response.json()["detail"]
    assert "Stack trace" not in response.text
    assert "\n" not in response.json()["detail"]
    with pytest.raises(ListeningError, match=r".+"):
        ask.sql(served, sql)


def test_a_query_after_an_error_is_answered(served: Settings) -> None:
    for _ in range(3):
        assert post(served, "SELECT toUInt8('no')").status_code == 400
        assert ask.sql(served, "SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_sql_that_is_no_text_or_too_long_is_refused(served: Settings) -> None:
    assert post(served, b"SELECT '\xff'").status_code == 400  # type: ignore[arg-type]
    assert post(served, "SELECT '" + "x" * (1 << 20) + "'").status_code == 413


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example:1"])
def test_another_host_than_loopback_is_refused(served: Settings, host: str) -> None:
    assert post(served, "SELECT 1", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:18123", "[::1]:18123", "[::1]"])
def test_loopback_s_names_are_served(served: Settings, host: str) -> None:
    assert post(served, "SELECT 1", headers={"host": host}).status_code == 200


def test_a_store_whose_sinks_have_not_begun_is_not_ready_and_says_why(served: Settings) -> None:
    assert httpx.get(f"{served.store_url}/ready", timeout=30, trust_env=False).status_code == 503
    answer = ask.ready(served)
    assert (answer["status"], answer["reasons"]) == ("starting", ["the sinks are starting"])


def test_a_store_that_is_away_is_named_with_the_remedy(settings: Settings) -> None:
    remedy = f"start it with `listening up --run {settings.run}`"
    for question in (ask.ready, lambda known: ask.sql(known, "SELECT 1")):
        with pytest.raises(UnavailableError, match=rf"does not answer at {settings.store_url}: {remedy}"):
            question(settings)


def test_a_store_of_another_run_does_not_answer_from_its_own_tables(served: Settings) -> None:
    other = served.model_copy(update={"run": "other"})
    for question in (ask.schema, lambda chosen: ask.sql(chosen, "SELECT 1")):
        with pytest.raises(ListeningError, match=f"that of run {served.run}, other is not up: ask with --run"):
            question(other)
    assert ask.ready(other)["run"] == served.run


def test_a_table_holds_whole_values_and_no_markup(served: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTENING_STORE_PORT", str(served.store_port))
    assert "[red]x[/red]" in CliRunner().invoke(cli.app, ["sql", "SELECT '[red]x[/red]' AS a"]).stdout
    text = "y" * 60
    wide = CliRunner().invoke(cli.app, ["sql", f"SELECT '{text}' AS a, '{text}' AS b, '{text}' AS c"]).stdout
    assert wide.count(text) == 3
    assert "no rows" in CliRunner().invoke(cli.app, ["sql", "SELECT * FROM plays"]).stdout


def test_a_proxy_from_the_environment_is_not_asked(served: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert isinstance(ask.sql(served, "SELECT 1"), pa.Table)
