"""When records are due."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.capture.pace import Pace


def test_records_keep_their_distances_divided_by_the_speed() -> None:
    pace = Pace(speed=10)
    assert [pace.due(at) for at in (5_000, 5_000, 5_100, 6_000, 65_000)] == [0.0, 0.0, 0.01, 0.1, 6.0]
    assert pace.planned == 6.0


def test_a_slow_replay_takes_longer() -> None:
    pace = Pace(speed=0.5)
    assert [pace.due(at) for at in (0, 1_000)] == [0.0, 2.0]


def test_a_record_that_is_dated_before_its_predecessor_goes_with_it() -> None:
    pace = Pace(speed=1)
    assert [pace.due(at) for at in (1_000, 3_000, 2_000, 0, 3_500)] == [0.0, 2.0, 2.0, 2.0, 2.5]


def test_nothing_is_planned_before_the_first_record_and_nothing_takes_time_before_the_second() -> None:
    pace = Pace(speed=1)
    assert pace.planned == 0.0
    pace.due(1_790_000_000_000)
    assert pace.planned == 0.0


@given(st.lists(st.integers(-1, 2**45), min_size=1), st.floats(0.01, 1_000))
def test_what_is_due_never_goes_back_and_ends_with_what_was_planned(times: list[int], speed: float) -> None:
    pace = Pace(speed)
    due = [pace.due(at) for at in times]
    assert due == sorted(due)
    assert due[0] == 0.0
    assert due[-1] == pace.planned == pytest.approx(max(at - times[0] for at in times) / 1000 / speed)
