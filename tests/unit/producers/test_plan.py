"""The plan: exactly as many records as asked for, and retries that grow with a queue's lag."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.kinds import Kind
from producers.plan import LAG_DOUBLES_MS, Plan, plan
from producers.scenarios.demand import ScenarioDemand
from producers.scenarios.model import Scenario
from tests.unit.producers.worlds import START, cached_catalogue, cached_people


def planned(**fields: Any) -> Plan:
    scenario = Scenario(artists=50, users=300, **fields)
    return plan(scenario, cached_people(300, 1), ScenarioDemand(scenario, cached_catalogue(50, 1)), START)


def counted(made: Plan) -> int:
    return int(made.plays.sum() + sum(map(np.sum, made.copies.values())) + sum(map(np.sum, made.replays)))


@given(
    events=st.integers(1, 5_000),
    minutes=st.floats(0.1, 40),
    shares=st.tuples(*[st.floats(0, 0.19)] * 4),
    replays=st.lists(st.tuples(st.floats(0.01, 0.3), st.floats(0.31, 0.9), st.floats(0.01, 1)), max_size=3),
    grows=st.booleans(),
)
def test_whatever_happens_exactly_as_many_records_are_planned_as_asked_for_and_no_copy_without_a_play(
    events: int, minutes: float, shares: Any, replays: Any, grows: bool
) -> None:
    retry, double, cross, poison = shares
    again = [
        {"from_minute": begin * minutes, "to_minute": end * minutes, "at_minute": 0.95 * minutes, "share": share}
        for begin, end, share in replays
    ]
    duplicates = {
        "producer_retry": {"share": retry, "grows_with_lag": grows}, "client_double_send": double, "cross_service": cross,
        "upstream_replay": again,
    }  # fmt: skip
    made = planned(events=events, minutes=minutes, duplicates=duplicates, poison=poison)
    assert counted(made) == events
    assert made.steps[0][0] == START
    assert made.steps[-1][1] == START + round(minutes * 60_000)
    for numbers in (*made.copies.values(), *made.replays):
        assert (numbers >= 0).all()
        assert not numbers[made.plays == 0].any()


def test_kinds_get_their_share_of_all_records() -> None:
    made = planned(
        events=10_000, duplicates={"producer_retry": 0.1, "client_double_send": 0.05, "cross_service": 0.2}, poison=0.01
    )
    assert {kind: int(numbers.sum()) for kind, numbers in made.copies.items()} == {
        Kind.PRODUCER_RETRY: 1_000, Kind.CLIENT_DOUBLE_SEND: 500, Kind.CROSS_SERVICE: 2_000, Kind.POISON: 100,
    }  # fmt: skip


@pytest.mark.parametrize("share", [0.02, 0.6])
def test_retries_follow_the_lag_of_a_queue_of_a_fifth_more_than_the_mean_load(share: float) -> None:
    load = [{"minute": 10, "times": 1}, {"minute": 11, "times": 4}, {"minute": 16, "times": 4}, {"minute": 17, "times": 1}]
    retries = {"producer_retry": {"share": share, "grows_with_lag": True}, "client_double_send": 0}
    made = planned(events=2_000_000, minutes=60, load=load, duplicates=retries)
    capacity = 1.2 * made.plays.sum() / 60  # a minute
    backlog, expected = 0.0, []
    for plays in made.plays.tolist():
        backlog = max(0.0, backlog + plays - capacity)
        expected.append(plays * (1 + backlog / capacity * 60_000 / LAG_DOUBLES_MS))
    expected_total = np.array(expected) / sum(expected) * 2_000_000 * share
    assert max(expected) / made.plays.max() > 4, "the queue must lag for this to say anything"
    np.testing.assert_allclose(made.copies[Kind.PRODUCER_RETRY], expected_total, atol=2)


def test_without_growth_every_play_is_as_likely_to_be_retried() -> None:
    load = [{"minute": 10, "times": 1}, {"minute": 11, "times": 4}]
    made = planned(events=1_000_000, minutes=60, load=load, duplicates={"producer_retry": 0.1})
    np.testing.assert_allclose(made.copies[Kind.PRODUCER_RETRY] / made.plays, 100_000 / made.plays.sum(), atol=0.001)


def test_the_load_follows_its_points_in_straight_lines_and_can_be_nothing() -> None:
    load = [{"minute": 0, "times": 1}, {"minute": 10, "times": 0}, {"minute": 20, "times": 0}, {"minute": 40, "times": 2}]
    made = planned(events=4_000_000, minutes=60, load=load)
    usual = made.plays[50] / 2
    minute = np.arange(60) + 0.5
    expected = np.interp(minute, [0, 10, 20, 40], [1, 0, 0, 2])
    np.testing.assert_allclose(made.plays / usual, expected, atol=0.1)  # people's own rhythm goes on meanwhile
    assert not made.plays[10:20].any()
