"""Users' SQL as text: what is admitted, what is refused, and what the engine is given instead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ListeningError
from pipeline.store.fence import LONGEST, admit


def inside(sql: str, *parameters: str) -> str:
    """The user's part of the statement that is run."""
    statement = admit(sql, parameters)
    assert statement.startswith("SELECT * FROM (\n")
    assert statement.endswith("\n)")
    return statement[len("SELECT * FROM (\n") : -len("\n)")]


@pytest.mark.parametrize(
    ("sql", "given"),
    [
        ("SELECT 1;", "SELECT 1"),
        (" -- hello\nselect 1 # bye", "select 1"),
        ("(SELECT 1) UNION ALL (SELECT 2);;", "(SELECT 1) UNION ALL (SELECT 2)"),
        ("((SELECT 1))", "((SELECT 1))"),
        ("WITH 1 AS a SELECT/**/a", "WITH 1 AS a SELECT a"),
        ("SELECT 'a;b', 'it''s; fine', 'c\\;d'", r"SELECT 'a\x3Bb', 'it''s\x3B fine', 'c\\\x3Bd'"),
        (r"SELECT '\\;', '\';'", r"SELECT '\\\x3B', '\'\x3B'"),
        ("SELECT 1 AS format ORDER BY format DESC", "SELECT 1 AS format ORDER BY format DESC"),
        ("SELECT format('{}', 1)", "SELECT format('{}', 1)"),
    ],
)
def test_one_select_is_wrapped_without_comments_and_semicolons(sql: str, given: str) -> None:
    assert inside(sql) == given


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("", "this is 0"),
        ("-- SELECT 1", "this is 0"),
        ("SELECT 1; SELECT 2", "this is 2"),
        ("SELECT ‘ ' ’; DROP TABLE plays", "this is 2"),
        ("DROP TABLE plays", "begins with DROP"),
        ("/* SELECT */ KILL QUERY WHERE 1", "begins with KILL"),
        ("'SELECT'", "begins with 'SELECT'"),
        ("EXPLAIN SELECT 1", "begins with EXPLAIN"),
        ("(SHOW TABLES)", r"begins with \(SHOW.*--schema"),
        ("SELECT 1 INTO /**/ outfile '/tmp/x'", "INTO OUTFILE"),
        ("SELECT ‘ ' ’ INTO OUTFILE '/tmp/x'", "INTO OUTFILE"),
        ("SELECT 1 PARALLEL WITH DROP TABLE plays", "PARALLEL WITH"),
        ("WITH 1 AS a INSERT INTO plays SELECT a", "INSERT INTO"),
        ("SELECT 1 format CSV", "FORMAT is not"),
        ("SELECT * FROM plays UUID '1'", "UUID"),
        ("SELECT $a$ ; $a$", "a semicolon"),
        ("SELECT 1 AS `a;b`", "a semicolon"),
        ("SELECT ‘;’", "a semicolon"),
        ("SELECT '\0'", "control character"),
        ('SELECT 1 AS "a\nb"', "line ends"),
        (r'SELECT 1 AS "a\nb"', "backslashes"),
        (r"SELECT 1 AS `a\x0ab`", "backslashes"),
        ("SELECT 1 AS “a\nb”", "line ends"),
        ("SELECT * FROM {t : Identifier}", "Identifier"),
        ("SELECT {s:AggregateFunction(sum, Int8)}", "AggregateFunction"),
        ("SELECT '" + "x" * LONGEST + "'", "longer than"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(sql: str, sentence: str) -> None:
    with pytest.raises(ListeningError, match=sentence) as refused:
        admit(sql)
    assert "\n" not in str(refused.value)


def test_who_asks_what_there_is_is_told() -> None:
    for sql in ("SHOW TABLES", "DESCRIBE plays", "desc plays", "EXISTS plays"):
        with pytest.raises(ListeningError, match=r"artists, plays"):
            admit(sql, tables=["artists", "plays"])


@pytest.mark.parametrize("name", ["n", "$x$", "a-b", "", "n:UInt8} {n", "é"])
def test_a_parameter_that_the_statement_does_not_have_is_refused(name: str) -> None:
    with pytest.raises(ListeningError, match="has no parameter"):
        admit("SELECT {m:UInt8} {é:UInt8}", [name])
    assert inside("SELECT {m:UInt8}", "m")


_PIECES = st.sampled_from(
    [
        "SELECT",
        "1",
        " ",
        "\n",
        ";",
        "'",
        '"',
        "`",
        "‘",
        "’",
        "“",
        "”",
        "\\",
        "--",
        "/*",
        "*/",
        "#!",
        "$$",
        "$a$",
        "(",
        ")",
        "DROP",
        "x",
        "é",
    ]
)


@given(st.lists(_PIECES, max_size=30))
def test_whatever_is_admitted_holds_no_semicolon(pieces: list[str]) -> None:
    try:
        statement = admit("SELECT " + "".join(pieces))
    except ListeningError:
        return
    assert ";" not in statement
