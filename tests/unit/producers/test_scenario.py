"""A scenario's span: it has just happened, and its last window can be final at once."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.rules import Rules
from producers.scenarios.clock import closing_clock, scenario_span
from producers.scenarios.model import Scenario
from tests.unit.producers.worlds import RULES, START


@given(now=st.integers(START, START + 10**9), pane_s=st.integers(1, 600), grace_s=st.integers(1, 600))
def test_a_scenario_ends_so_that_its_closing_tick_is_not_ahead_of_now_and_closes_its_last_window(
    now: int, pane_s: int, grace_s: int
) -> None:
    rules = Rules(4, 7_200_000, grace_s * 1000, 300_000, pane_s * 1000, 600_000, 30_000, "test")
    scenario = Scenario()
    start, end = scenario_span(scenario, rules, now)
    assert end - start == 90 * 60_000
    assert end % rules.pane_ms == 0
    assert closing_clock(end, rules) <= now
    assert end <= closing_clock(end, rules) - rules.grace_ms  # the design: final when end <= watermark - grace
    assert now - end <= rules.grace_ms + 2 * rules.pane_ms


def test_a_clock_that_ends_within_a_pane_closes_that_pane() -> None:
    assert closing_clock(START + 1, RULES) == START + 10_000 + 60_000 + 10_000


def test_told_in_another_time_the_release_stays_in_its_place() -> None:
    short = Scenario(release={"at": "minute 45"}).lasting(10)
    assert (short.minutes, short.release.minute) == (10, 5)
    assert Scenario().lasting(10).release is None


@pytest.mark.parametrize(("field", "value"), [("events", 0), ("lateness", {"late": 0.7}), ("artists", 3), ("rate", 2)])
def test_a_scenario_that_cannot_be_is_refused_by_its_field(field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        Scenario(**{field: value})
