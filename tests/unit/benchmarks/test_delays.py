"""Delays from what a watcher saw."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.delays import EDGES, delays, histogram, percentiles


def test_an_events_delay_ends_with_the_first_look_that_reaches_its_offset() -> None:
    #  look at   100   200   300   400 ms
    #  reached    -1     4     4     9
    looks, reached = np.array([100, 200, 300, 400]), np.array([-1, 4, 4, 9])
    found = delays(np.array([0, 4, 5, 9]), np.array([50, 180, 190, 399]), looks, reached)
    assert found.tolist() == [150, 20, 210, 1]


def test_an_event_that_no_look_saw_is_no_measurement() -> None:
    with pytest.raises(ValueError, match="no look saw offset 5"):
        delays(np.array([4, 5]), np.array([0, 0]), np.array([10]), np.array([4]))


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 1000)), min_size=1, max_size=30),
    st.lists(st.integers(-1, 60), min_size=1, max_size=30),
)
def test_delays_are_those_of_a_plain_search(events: list[tuple[int, int]], reached: list[int]) -> None:
    looks = [1000 + 7 * number for number in range(len(reached) + 1)]
    reached = [*reached, 60]
    expected = [
        next(when for when, last in zip(looks, reached, strict=True) if last >= offset) - date for offset, date in events
    ]
    offsets, dates = (np.array(column) for column in zip(*events, strict=True))
    assert delays(offsets, dates, np.array(looks), np.array(reached)).tolist() == expected


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=300))
def test_percentiles_are_the_least_value_that_so_many_percent_do_not_exceed(values: list[int]) -> None:
    ranked = sorted(values)
    expected = {
        name: ranked[max(0, math.ceil(len(values) * part / 100) - 1)]
        for name, part in (("p50", 50), ("p90", 90), ("p99", 99), ("max", 100))
    }
    assert percentiles(np.array(values)) == expected


@given(st.lists(st.integers(0, 20_000), max_size=300))
def test_a_histogram_counts_each_delay_once_below_the_next_edge(values: list[int]) -> None:
    bounds = [0, *EDGES, 10**9]
    expected = [sum(low <= value < high for value in values) for low, high in pairwise(bounds)]
    found = [count for _, count in histogram(np.array(values, np.int64))]
    assert found + [0] * (len(expected) - len(found)) == expected
