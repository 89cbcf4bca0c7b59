"""Splitting SQL and the fence for users' SQL."""

import pytest

from pipeline.errors import ListeningError
from pipeline.store.fence import admit
from pipeline.store.statements import split, text_of


def texts(sql: str) -> list[str]:
    return [text_of(statement) for statement in split(sql)]


def test_statements_are_split_at_semicolons_and_empty_ones_left_out() -> None:
    assert texts("SELECT 1;\n\n; SELECT 2 ;") == ["SELECT 1", "SELECT 2"]


@pytest.mark.parametrize(
    "one",
    [
        "SELECT 'a;b'",
        r"SELECT 'it\'s; fine'",
        "SELECT 'it''s; fine'",
        'SELECT "a;b" FROM t',
        "SELECT `a;b` FROM t",
        "SELECT $x$ it's; fine $x$",
        "SELECT ‘;’, “;”",
    ],
)
def test_a_semicolon_in_quotes_ends_nothing(one: str) -> None:
    assert texts(one) == [one]


def test_comments_are_dropped_and_separate_words() -> None:
    assert texts("-- first; \nSELECT/* ; */1 # last;\n") == ["SELECT 1"]


@pytest.mark.parametrize(
    "sql", ["SELECT 1;", " -- hello\nselect 1", "(SELECT 1) UNION ALL (SELECT 2)", "WITH 1 AS a SELECT a"]
)
def test_a_statement_that_reads_is_admitted(sql: str) -> None:
    assert admit(sql)


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("", "this is 0"),
        ("SELECT 1; SELECT 2", "this is 2"),
        ("SELECT ‘ ' ’; DROP TABLE plays", "this is 2"),
        ("DROP TABLE plays", "begins with DROP"),
        ("/* SELECT */ KILL QUERY WHERE 1", "begins with KILL"),
        ("'SELECT'", "begins with 'SELECT'"),
        ("SELECT 1 INTO /**/ outfile '/tmp/x'", "INTO OUTFILE"),
        ("SELECT ‘ ' ’ INTO OUTFILE '/tmp/x'", "INTO OUTFILE"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(sql: str, sentence: str) -> None:
    with pytest.raises(ListeningError, match=sentence):
        admit(sql)
