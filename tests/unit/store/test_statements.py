"""Splitting SQL."""

import pytest

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


@pytest.mark.parametrize("quote", ["'", '"', "`"])
def test_reading_takes_time_in_proportion_to_the_text(quote: str) -> None:
    """No time is taken here: of so long a text, in proportion to its square it would be hours, and the test be ended."""
    assert len(split("SELECT " + f"\\{quote}" * 500_000)) == 1
    assert len(split("SELECT " + f"{quote}\\" * 500_000)) == 1
