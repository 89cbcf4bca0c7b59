"""A scenario's span: it has just happened, and its last window can be final at once."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.rules import Rules
from producers.scenarios.clock import closing_clock, fixed_start, iso, scenario_span
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


@given(
    now=st.integers(START, START + 10**10), minutes=st.integers(1, 3_000), weekday=st.integers(0, 6), hour=st.integers(0, 23)
)
def test_a_scenario_of_a_weekday_was_at_the_latest_such_day_that_is_quite_over(
    now: int, minutes: int, weekday: int, hour: int
) -> None:
    day = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")[weekday]
    scenario = Scenario(starts=f"{day} {hour:02}:30", minutes=minutes)
    start, end = scenario_span(scenario, RULES, now)
    moment = datetime.fromtimestamp(start / 1000, UTC)
    assert (moment.weekday(), moment.hour, moment.minute, moment.second, moment.microsecond) == (weekday, hour, 30, 0, 0)
    assert end == start + minutes * 60_000
    assert closing_clock(end, RULES) <= now
    assert now - closing_clock(end, RULES) < 7 * 86_400_000 + 2 * RULES.pane_ms


def test_a_scenario_for_a_file_begins_in_the_same_week_whenever_it_is_written() -> None:
    assert iso(fixed_start(Scenario(starts="thursday 21:00"))) == "2026-01-08T21:00:00Z"
    assert iso(fixed_start(Scenario())) == "2026-01-05T00:00:00Z"


@pytest.mark.parametrize(("field", "value"), [("events", 0), ("lateness", {"late": 0.7}), ("artists", 3), ("rate", 2)])
def test_a_scenario_that_cannot_be_is_refused_by_its_field(field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        Scenario(**{field: value})
