"""Hostile SQL through the store's HTTP: refused or stopped in one sentence, without a trace; the next query is answered."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.embedded.ports import free_ports
from pipeline.settings import Settings, load
from pipeline.store import client
from pipeline.store.client import Pool
from tests.unit.store.conftest import opened, serving
from tests.unit.store.rows import fill

SECONDS = 3
"""What a query may take here where that is what stops it, so that it doesn't take 30. Any other may take long: on a busy
machine it would else be the time that stops it, and not what it is refused for."""
SECRET = "only for the other run"

Store = tuple[Settings, Pool, httpx.Client, Any]

REFUSED = [
    # What reads files, the network, other servers, or runs programs.
    ("SELECT file('/etc/passwd')", "function file"),
    ("SELECT FILE('/etc/passwd')", "function FILE"),
    ("SELECT `file`('/etc/passwd')", "function file"),
    ("SELECT * FROM file('/etc/passwd', 'LineAsString')", "table function file"),
    ("SELECT * FROM filesystem('/etc')", "table function filesystem"),
    ("SELECT * FROM '/etc/passwd'", "no table of this run"),
    ('SELECT * FROM "/etc/passwd"', "no table of this run"),
    ("SELECT * FROM `default`.`/etc/passwd`", "no table of this run"),
    ("SELECT * FROM url('http://127.0.0.1:1/x', 'CSV', 'a String')", "table function url"),
    ("SELECT * FROM s3('http://127.0.0.1:1/b/x.csv')", "table function s3"),
    ("SELECT * FROM remote('127.0.0.1', system.one)", "table function remote"),
    ("SELECT * FROM cluster('default', system.one)", "table function cluster"),
    ("SELECT * FROM clusterAllReplicas('default', system.one)", "table function clusterAllReplicas"),
    ("SELECT * FROM executable('x.sh', 'TSV', 'a String')", "table function executable"),
    ("SELECT * FROM sqlite('/tmp/x.db', 't')", "table function sqlite"),
    ("SELECT * FROM postgresql('127.0.0.1:1', 'd', 't', 'u', 'p')", "table function postgresql"),
    ("SELECT * FROM python('os')", "table function python"),
    ("SELECT * FROM Python(os)", "table function Python"),
    ("SELECT aiGenerate('x', 'y')", "function aiGenerate"),
    ("SELECT evalMLMethod(1)", "function evalMLMethod"),
    # What wraps or names tables in other ways.
    ("SELECT * FROM merge('listening_other', '.*')", "table function merge"),
    ("SELECT * FROM view(SELECT 1)", "table function view"),
    ("SELECT * FROM viewIfPermitted(SELECT 1 ELSE null('a Int8'))", "viewIfPermitted"),
    ("SELECT * FROM eval('SELECT * FROM system.one')", "table function eval"),
    ("SELECT * FROM loop(plays)", "table function loop"),
    ("SELECT * FROM input('a Int8')", "table function input"),
    ("SELECT * FROM values('a String', 'x')", "table function values"),
    ("SELECT * FROM generateRandom('a String')", "table function generateRandom"),
    ("SELECT * FROM mergeTreeIndex('listening_other', 'secret')", "table function mergeTreeIndex"),
    ("SELECT * FROM dictionary('d')", "table function dictionary"),
    ("SELECT dictGet('listening_other.d', 'a', 1)", "function dictGet"),
    ("SELECT dictGetOrDefault('d', 'a', 1, 2)", "function dictGetOrDefault"),
    ("SELECT joinGet('listening_other.j', 'a', 1)", "function joinGet"),
    ("SELECT hasColumnInTable('listening_other', 'secret', 'text')", "function hasColumnInTable"),
    # What tells of the server.
    ("SELECT getSetting('max_threads')", "function getSetting"),
    ("SELECT hostName(), version(), currentUser()", "function hostName"),
    ("SELECT * FROM system.tables", "no table of this run"),
    ("SELECT * FROM “system”.“tables”", "no table of this run"),
    ("SELECT * FROM INFORMATION_SCHEMA.tables", "no table of this run"),
    ("SELECT * FROM information_schema.columns", "no table of this run"),
    ("SELECT count() FROM plays, system.processes", "no table of this run"),
    ("SELECT * FROM (SELECT * FROM (SELECT name FROM system.users))", "no table of this run"),
    # Another run's tables.
    ("SELECT text FROM listening_other.secret", "listening_other.secret is no table"),
    ("SELECT 'only for the other run' IN listening_other.secret", "another database"),
    ("SELECT count() FROM plays WHERE service IN (listening_other.secret)", "another database"),
    ("SELECT count() FROM plays WHERE service GLOBAL NOT IN `listening_other`.`secret`", "another database"),
    ("SELECT in('x', listening_other.secret)", "another database"),
    ("WITH listening_other.secret AS s SELECT 'x' IN s", "another database"),
    ("SELECT arrayMap(x -> 'x' IN listening_other.secret, [1])", "another database"),
    ("SELECT 1 FROM plays PREWHERE service IN (SELECT text FROM listening_other.secret)", "no table of this run"),
    ("SELECT (SELECT any(text) FROM listening_other.secret)", "no table of this run"),
    ("SELECT 1 FROM plays ORDER BY (SELECT any(text) FROM listening_other.secret)", "no table of this run"),
    ("SELECT 1 LIMIT (SELECT length(any(text)) FROM listening_other.secret)", "no table of this run"),
    ("WITH secret AS (SELECT * FROM listening_other.secret) SELECT * FROM secret", "no table of this run"),
    ("WITH plays AS (SELECT 1) SELECT * FROM plays, listening_other.secret", "no table of this run"),
    ("SELECT 1 UNION ALL SELECT 2 EXCEPT SELECT text FROM listening_other.secret", "no table of this run"),
    ("SELECT 1 FROM plays |> JOIN listening_other.secret ON 1", "no table of this run"),
    ("SELECT * FROM plays UUID '{uuid}'", "not by its UUID"),
    # Functions where they can't be seen, or hardly.
    ("SELECT * APPLY(file) FROM artists", "APPLY is not for here"),
    ("SELECT * APPLY(x -> file(x)) FROM artists", "APPLY is not for here"),
    ("SELECT COLUMNS('name') APPLY file FROM artists", "APPLY is not for here"),
    ("SELECT artists.* APPLY(file) FROM artists", "APPLY is not for here"),
    ("SELECT * REPLACE(file('/etc/passwd') AS name) FROM artists", "function file"),
    ("SELECT arrayMap(x -> file(x), ['/etc/passwd'])", "function file"),
    ("SELECT arrayReduce('sum', [1])", "function arrayReduce"),
    ("SELECT quantile(file('/etc/passwd'))(1)", "function file"),
    ("SELECT sum(1) OVER (ORDER BY file('/etc/passwd'))", "function file"),
    ("SELECT 1 ORDER BY 1 WITH FILL STEP file('x')", "function file"),
    ("SELECT `count(x)`(1)", "function count"),
    # Names that hold lines, as of a tree.
    ("SELECT 1 AS \"x)\n Function count\", file('/etc/passwd')", "line ends"),
    ("SELECT file('/etc/passwd') AS `x\\n    Function count (children 1)`", "backslashes"),
    ("SELECT 1 AS “x\n”, file('/etc/passwd')", "line ends"),
    # What follows a SELECT.
    ("SELECT 1 INTO OUTFILE '{out}'", "INTO OUTFILE"),
    ("SELECT 1 INTO/**/OUTFILE '{out}' FORMAT CSV", "INTO OUTFILE"),
    ("SELECT 1) INTO OUTFILE '{out}' FORMAT CSV", "INTO OUTFILE"),
    ("(SELECT 1 INTO OUTFILE '{out}')", "INTO OUTFILE"),
    ("SELECT 1) FORMAT CSV #!", "Syntax error|FORMAT"),
    ("SELECT 1 FORMAT JSON", "FORMAT is not for here"),
    ("SELECT 1 SETTINGS max_execution_time = 0", "SETTINGS is not for here"),
    ("SELECT * FROM (SELECT 1 SETTINGS max_memory_usage = 0)", "SETTINGS is not for here"),
    ("SELECT 1) SETTINGS readonly = 0, max_threads = (SELECT 1", "SETTINGS|Syntax error"),
    ("SELECT * FROM plays SAMPLE 1 / 10", "SAMPLE is not for here"),
    # Several statements, and ways to hide one.
    ("SELECT 1; DROP TABLE plays", "one SQL statement"),
    ("SELECT 1;--\nDROP TABLE plays", "one SQL statement"),
    ("SELECT 1 /* ; */; /* */ DROP TABLE plays", "one SQL statement"),
    ("SELECT ‘ ' ’; DROP TABLE plays --'", "one SQL statement"),
    ("SELECT $a$ ; $a$; DROP TABLE plays", "one SQL statement"),
    ("SELECT $é$ ; DROP TABLE plays; $é$", "one SQL statement|a semicolon"),
    ("SELECT $a$ ; DROP TABLE plays; SELECT $b$", "a semicolon"),
    ("SELECT '\\\\'; DROP TABLE plays; --'", "one SQL statement"),
    ("SELECT 1 /* /* */ ; DROP TABLE plays */", "one SQL statement"),
    ("SELECT 1 // x\n; DROP TABLE plays", "one SQL statement"),
    ("SELECT 1\0; DROP TABLE plays", "control character"),
    ("SELECT 1 PARALLEL WITH DROP TABLE plays", "PARALLEL WITH"),
    # Other verbs.
    ("INSERT INTO artists VALUES (99, 'x')", "begins with INSERT"),
    ("WITH 1 AS a INSERT INTO artists SELECT a, 'x'", "INSERT INTO"),
    ("ALTER TABLE plays DELETE WHERE 1", "begins with ALTER"),
    ("DELETE FROM plays WHERE 1", "begins with DELETE"),
    ("UPDATE plays SET service = 'x' WHERE 1", "begins with UPDATE"),
    ("DROP TABLE plays", "begins with DROP"),
    ("CREATE TABLE x (a Int8) ENGINE = Memory", "begins with CREATE"),
    ("CREATE TEMPORARY TABLE x (a Int8)", "begins with CREATE"),
    ("CREATE DATABASE x", "begins with CREATE"),
    ("CREATE FUNCTION plus AS (x) -> file(x)", "begins with CREATE"),
    ("ATTACH TABLE x FROM '/etc' (a Int8) ENGINE = Log", "begins with ATTACH"),
    ("DETACH TABLE plays", "begins with DETACH"),
    ("KILL QUERY WHERE 1", "begins with KILL"),
    ("SYSTEM SHUTDOWN", "begins with SYSTEM"),
    ("SET readonly = 0", "begins with SET"),
    ("USE system", "begins with USE"),
    ("GRANT ALL ON *.* TO default", "begins with GRANT"),
    ("BACKUP DATABASE listening_other TO File('{out}')", "begins with BACKUP"),
    ("RENAME TABLE plays TO x", "begins with RENAME"),
    ("EXCHANGE TABLES plays AND artists", "begins with EXCHANGE"),
    ("TRUNCATE TABLE plays", "begins with TRUNCATE"),
    ("OPTIMIZE TABLE plays FINAL", "begins with OPTIMIZE"),
    ("CHECK TABLE plays", "begins with CHECK"),
    ("SHOW TABLES", "artist_counts, artists"),
    ("DESCRIBE TABLE plays", "--schema"),
    ("EXISTS TABLE listening_other.secret", "--schema"),
    ("EXPLAIN SELECT 1", "begins with EXPLAIN"),
    ("SELECT * FROM (EXPLAIN SELECT * FROM plays)", "table function viewExplain"),
    ("(EXPLAIN AST SELECT 1)", "begins with"),
    # Bytes and depths that a parser may choke on.
    ("SELECT CAST(unhex('ffffffffffff') AS AggregateFunction(groupArray, UInt64))", "AggregateFunction"),
    ("SELECT sleep(3)", "function sleep"),
    ("SELECT sleepEachRow(3) FROM numbers(1000)", "function sleepEachRow"),
    ("SELECT throwIf(1)", "function throwIf"),
    ("SELECT editDistance(repeat('a', 1000000), repeat('b', 1000000))", "function editDistance"),
    ("SELECT " + "(" * 20_000 + "1" + ")" * 20_000, "TOO_DEEP"),
    ("SELECT " + "(-" * 900 + "1" + ")" * 900, "TOO_DEEP"),
    ("SELECT * FROM " + "(SELECT * FROM " * 300 + "plays" + ")" * 300, "TOO_DEEP|TOO_SLOW|depth"),
    ("SELECT " + "1+" * 30_000 + "1", "TOO_DEEP|TOO_BIG|AST"),
    ("SELECT '" + "x" * 200_000 + "'", "longer than"),
    ("SELECT count() FROM plays" + ", plays" * 3000, "more than 100 tables"),
    ("WITH 1 AS a0" + "".join(f", (a{n}, a{n}) AS a{n + 1}" for n in range(15)) + " SELECT a15", "Maximum: 50000"),
    (
        "WITH c0 AS (SELECT 1 AS x)"
        + "".join(f", c{n + 1} AS (SELECT a.x FROM c{n} AS a, c{n} AS b)" for n in range(30))
        + " SELECT count() FROM c30",
        "too big|OPTIMIZATIONS",
    ),
    ('SELECT "' + '\\"' * 40_000 + "\\", "Syntax error|backslashes"),
    ("SELECT (", "Syntax error"),
    ("SELECT '", "Syntax error"),
    ("SELECT /*", "Syntax error"),
    ("", "one SQL statement"),
]

TIME = f"it may take {SECONDS} s"
MEMORY = f"it may use 1024 MiB|{TIME}"
"""On a busy machine the time may be over first."""
STOPPED = [
    ("SELECT count() FROM numbers(1000000000000)", "may read 2,000,000,000 rows"),
    ("SELECT count() FROM numbers(100000) AS a, numbers(100000) AS b, numbers(100000) AS c", TIME),
    ("SELECT sum(sipHash64(a.number, b.number)) FROM numbers(1000000) AS a, numbers(1000000) AS b", TIME),
    ("SELECT max(jumpConsistentHash(number, 2147483647)) FROM numbers(1000000000)", TIME),
    ("SELECT (SELECT max(SHA512(toString(number))) FROM numbers(1000000000))", TIME),
    ("SELECT repeat('x', 1000000000)", MEMORY),
    ("SELECT repeat(repeat('x', 1000000), 1000)", MEMORY),
    ("SELECT range(1000000000)", "range"),
    ("SELECT arrayWithConstant(1000000, arrayWithConstant(1000000, 1))", "too large"),
    ("SELECT arrayResize([1], 1000000000)", MEMORY),
    ("SELECT groupArray(number) FROM numbers(1000000000)", MEMORY),
    ("SELECT groupArray(repeat('x', 1000)) FROM numbers(100000000)", MEMORY),
    (
        "SELECT sum(n) FROM (SELECT number % 250000000 AS n, count() FROM numbers(300000000) GROUP BY n)",
        MEMORY,
    ),
    ("SELECT number FROM numbers(300000000) ORDER BY cityHash64(number) LIMIT 200000000, 1", MEMORY),
    ("SELECT arraySum(arrayMap(x -> arrayCount(y -> y > x, range(1000000)), range(1000000)))", MEMORY),
    ("SELECT number FROM numbers(100000000)", "5,000,000 rows"),
    ("SELECT repeat('x', 1000) || toString(number) FROM numbers(4000000)", MEMORY + "|512 MiB"),
    ("SELECT arrayJoin(range(100000000))", "5,000,000 rows"),
    ("SELECT 1 FROM numbers(1) ORDER BY number WITH FILL TO 1000000000000", MEMORY + "|5,000,000 rows"),
    ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r", "TOO_DEEP_RECURSION"),
    (
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + b.number FROM r, numbers(9) AS b) SELECT count() FROM r",
        "may",
    ),
    ("SELECT match('a', '((((a{1,100}){1,100}){1,100}){1,100})')", "cannot compile"),
    ("SELECT replaceRegexpAll(repeat('a', 1000000), '(a*)*b', 'x') FROM numbers(1000)", MEMORY),
]

PARAMETERS = [
    ("SELECT * FROM {t:Identifier}", {"t": "system.one"}, "Identifier"),
    ("SELECT * FROM { t : Identifier }", {"t": "system.one"}, "Identifier"),
    ("SELECT * FROM {d:Identifier}.secret, {d:String}", {"d": "listening_other"}, "Identifier"),
    ("SELECT * FROM {`t`:Identifier} WHERE '{t:x}' != ''", {"t": "system.one"}, "no table of this run|Syntax error"),
    ("SELECT {s:AggregateFunction(sum, UInt64)}", {"s": "x"}, "AggregateFunction"),
    ("SELECT CAST('', {t:String})", {"t": "AggregateFunction(sum, UInt64)"}, "AggregateFunction|written out"),
    ("SELECT 1 + %(x)s", {"x": "1"}, "no parameter 'x'"),
    ("SELECT $x$", {"$x$": "1; DROP TABLE plays"}, "no parameter"),
    ("SELECT {n:UInt8}", {"n": "1); DROP TABLE plays"}, "n"),
    ("SELECT {n:UInt8}", {}, "n"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A run with rows, beside it another run's database with a table, a join and a dictionary."""
    settings = load(data_dir=tmp_path_factory.mktemp("hostile"), store_port=free_ports(1)[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(client.GUEST_SETTINGS, "max_execution_time", "120")
        with opened(settings) as pool:
            # A merge would change what lies there, too.
            pool.base.command("SYSTEM STOP MERGES")
            fill(pool.base, settings.database)
            for statement in (
                "CREATE DATABASE listening_other",
                "CREATE TABLE listening_other.secret (text String) ENGINE = MergeTree ORDER BY text",
                f"INSERT INTO listening_other.secret VALUES ('{SECRET}')",
                "CREATE TABLE listening_other.j (k UInt8, a UInt8) ENGINE = Join(ANY, LEFT, k)",
                "CREATE DICTIONARY listening_other.d (k UInt64, a UInt64) PRIMARY KEY k"
                " SOURCE(CLICKHOUSE(QUERY 'SELECT 1 AS k, 2 AS a')) LAYOUT(FLAT()) LIFETIME(0)",
            ):
                pool.base.command(statement)
            with serving(pool, settings), httpx.Client(base_url=settings.store_url, timeout=200, trust_env=False) as http:
                yield settings, pool, http, (contents(pool), files(settings))


def contents(pool: Pool) -> Any:
    """All databases, and all that lies in their tables."""
    names = pool.base.query(
        "SELECT database || '.' || name FROM system.tables WHERE engine LIKE '%MergeTree' AND database LIKE 'listening%'"
    ).result_rows
    sums = " UNION ALL ".join(f"SELECT '{name}', count(), groupBitXor(cityHash64(*)) FROM {name}" for (name,) in names)
    return [
        sorted(pool.base.query(query).result_rows)
        for query in (sums, "SELECT database, name FROM system.tables", "SELECT name FROM system.databases")
    ]


def files(settings: Settings) -> set[str]:
    """Every file that is not a part of a table, and what lies in the working directory."""
    parts = settings.run_dir / "store" / "store"
    walked = ((Path(folder), names) for folder, _, names in os.walk(settings.data_dir))
    inside = {str(folder / name) for folder, names in walked if not folder.is_relative_to(parts) for name in names}
    return inside | {name for name in os.listdir() if not name.startswith(".")}


def check(
    store: Store, sql: str, sentence: str, parameters: dict[str, str] | None = None, seconds: int | None = None
) -> None:
    """`seconds`: what this query may take, and no other."""
    settings, pool, http, before = store
    out = settings.data_dir / "out"
    if "{uuid}" in sql:
        query = "SELECT toString(uuid) FROM system.tables WHERE database = 'listening_other' AND name = 'secret'"
        sql = sql.replace("{uuid}", pool.base.query(query).result_rows[0][0])
    sql = sql.replace("{out}", str(out))
    named = {f"param_{name}": value for name, value in (parameters or {}).items()}
    with pytest.MonkeyPatch.context() as patch:
        if seconds:
            patch.setitem(client.GUEST_SETTINGS, "max_execution_time", str(seconds))
            forget_guests(pool)
        response = http.post("/sql", content=sql, params=named)
    if seconds:
        forget_guests(pool)
    assert 400 <= response.status_code < 500, response.text[:500]
    detail = response.json()["detail"]
    assert re.search(sentence, detail), detail
    assert detail
    assert "\n" not in detail
    assert SECRET not in response.text or SECRET in sql
    assert (contents(pool), files(settings)) == before
    assert not out.exists()
    assert http.post("/sql", content="SELECT count() FROM plays FINAL").status_code == 200


@pytest.mark.parametrize(("sql", "sentence"), REFUSED, ids=[sql[:60] for sql, _ in REFUSED])
def test_hostile_sql_is_refused_without_a_trace(store: Store, sql: str, sentence: str) -> None:
    check(store, sql, sentence)


@pytest.mark.parametrize(("sql", "sentence"), STOPPED, ids=[sql[:60] for sql, _ in STOPPED])
def test_sql_that_asks_for_too_much_is_stopped(store: Store, sql: str, sentence: str) -> None:
    check(store, sql, sentence, seconds=SECONDS if sentence == TIME else None)


def forget_guests(pool: Pool) -> None:
    """The next one is made anew, under the limits that are in force then."""
    while pool._guests.idle:
        pool._guests.idle.pop().close()


@pytest.mark.parametrize(("sql", "parameters", "sentence"), PARAMETERS, ids=[sql for sql, *_ in PARAMETERS])
def test_a_parameter_is_a_value_and_nothing_else(store: Store, sql: str, parameters: dict[str, str], sentence: str) -> None:
    check(store, sql, sentence, parameters)
