"""Lines of EXPLAIN AST: judged, also where names hold line ends that look like lines."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ListeningError
from pipeline.settings import load
from pipeline.store.ast import judge
from pipeline.store.client import Pool
from tests.unit.store.conftest import opened

HERE, TABLES = "listening_live", ["artists", "plays"]
DATABASES = [HERE, "listening_other", "system", "information_schema", "a.b"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with opened(load(data_dir=tmp_path_factory.mktemp("ast"))) as pool:
        yield pool


def judged(engine: Pool, sql: str) -> None:
    """By the tree alone, without the check of the text before it."""
    judge([line for (line,) in engine.base.query(f"EXPLAIN AST {sql}").result_rows], HERE, TABLES, DATABASES)


def judge_lines(*lines: str) -> None:
    judge(lines, HERE, TABLES, DATABASES)


def test_a_line_that_is_no_known_node_is_refused_by_name() -> None:
    for line, what in (
        ("Set", "SETTINGS is not for here"),
        (" ColumnsApplyTransformer", "SETTINGS|ColumnsApplyTransformer|APPLY"),
        ("DropQuery  plays", "DropQuery is not for here"),
        ("NewInSomeVersion (children 1)", "NewInSomeVersion is not for here"),
        ("Subquery of another kind", "Subquery is not for here"),
        ("Function", "Function is not for here"),
        ("", "is not for here"),
        ("…", "is not for here"),
    ):
        with pytest.raises(ListeningError, match=what):
            judge_lines(line)


def test_a_line_without_the_line_above_that_it_belongs_to_is_refused() -> None:
    with pytest.raises(ListeningError, match="Asterisk"):
        judge_lines("SelectQuery (children 1)", "  Asterisk")


@pytest.mark.parametrize("name", ["plays", "nowhere", "listening_live.plays"])
def test_a_table_of_the_run_or_a_with_is_admitted(name: str) -> None:
    judge_lines(f"TableIdentifier {name}", f"TableIdentifier {name} (alias x)")


@pytest.mark.parametrize(
    "name",
    ["system.one", "listening_other.plays", "listening_livex.plays", "/etc/passwd", "a b", "listening_live.a.b", "x\ny"],
)
def test_any_other_table_is_refused_and_the_run_s_are_named(name: str) -> None:
    with pytest.raises(ListeningError, match=r"no table of this run: this run has artists, plays"):
        judge_lines(f"TableIdentifier {name}")


def test_a_name_that_begins_as_another_database_does_is_refused_anywhere() -> None:
    for name in ("system.one", "listening_other.plays", "a.b.c", "information_schema.tables.x"):
        with pytest.raises(ListeningError, match="another database"):
            judge_lines(f"Identifier {name} (alias x)")
    judge_lines("Identifier p.system", "Identifier listening_live.plays.artist_id", "Identifier system")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT CAST(unhex('00') AS AggregateFunction(sum, UInt64))",
        "SELECT unhex('00')::AggregateFunction(sum, UInt64)",
        "SELECT CAST('1', concat('UInt', '8'))",
        r"SELECT CAST(unhex('00'), '`Aggregate\\x46unction`(sum, UInt64)')",
        "SELECT accurateCastOrNull(1, lower('STRING'))",
        "WITH 'AggregateFunction(sum, UInt64)' AS t SELECT CAST('', t)",
    ],
)
def test_bytes_can_not_be_cast_to_an_aggregate_s_state(engine: Pool, sql: str) -> None:
    with pytest.raises(ListeningError, match=r"AggregateFunction|written out"):
        judged(engine, sql)


def test_into_outfile_is_seen_in_the_tree_too(engine: Pool) -> None:
    with pytest.raises(ListeningError, match="INTO OUTFILE"):
        judged(engine, "SELECT 1 INTO OUTFILE '/nowhere/x'")


def test_the_tree_is_read_without_running_anything(engine: Pool) -> None:
    with pytest.raises(ListeningError, match="function sleep"):
        judged(engine, "SELECT (SELECT sleep(3)), (SELECT count() FROM plays WHERE sleepEachRow(3))")
    assert not engine.base.query("SELECT count() FROM plays").result_rows[0][0]


HOSTILE = (
    "SELECT {inject}, file('/etc/passwd') AS b",
    "SELECT {inject}, 1 IN system.one",
    "SELECT 1 IN (SELECT {inject} FROM system.one)",
    "SELECT {inject}, * APPLY(hex) FROM plays",
    "SELECT {inject} FROM url('x')",
    "SELECT * FROM (SELECT {inject} SETTINGS max_threads = 1)",
    "SELECT getSetting('x') AS a, {inject}",
)
_LINES = st.lists(
    st.sampled_from(
        [
            *("ExpressionList", "ExpressionList (children 2)", "Function count (children 1)", "Function in (children 1)"),
            *("Literal 'x'", "Identifier x", "SelectQuery (children 1)", "Subquery (alias x) (children 1)", "Asterisk"),
            *("TableExpression (children 1)", "TableIdentifier plays", "Literal UInt64_1 (alias y)", ")", "(alias z)"),
        ]
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_line_in_a_name_hides_what_is_refused(engine: Pool, hostile: str) -> None:
    @settings(max_examples=60, deadline=None)
    @given(lines=_LINES, depths=st.lists(st.integers(0, 12), min_size=4, max_size=4), closed=st.booleans())
    def check(lines: list[str], depths: list[int], closed: bool) -> None:
        shaped = "\n".join(" " * depth + line for depth, line in zip(depths, lines, strict=False))
        name = ("x)\n" if closed else "") + shaped + ("\nLiteral UInt64_1 (alias x" if closed else "")
        with pytest.raises(ListeningError, match=r"not for here|no table|another database"):
            judged(engine, hostile.format(inject=f'1 AS "{name}"'))

    check()
