"""Curves in a terminal."""

import pytest

from pipeline.commands.draw import chart, resampled, sparkline


def test_columns_are_means_of_what_lies_behind_them() -> None:
    assert resampled([1, 3, 5, 7], 2) == [2, 6]
    assert resampled([1, 2, 3], 72) == [1, 2, 3]
    assert resampled(list(range(7)), 3) == [0.5, 2.5, 5]


def test_a_chart_is_as_high_as_its_largest_value_and_empty_where_there_is_nothing() -> None:
    assert chart([0, 1, 2, 4], rows=2) == ["   █", " ▄██"]
    assert chart([0, 0], rows=2) == ["  ", "  "]
    assert chart([3], rows=1) == ["█"]


@pytest.mark.parametrize(("values", "drawn"), [([0, 4, 8], " ▄█"), ([0, 1, 1000], " ▁█"), ([0, 0], "  "), ([], "")])
def test_a_sparkline_shows_whatever_is_more_than_nothing(values: list[float], drawn: str) -> None:
    assert sparkline(values) == drawn
