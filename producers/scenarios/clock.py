"""The scenario's clock: when it begins and ends, and when its last windows can be final. All instants are epoch ms."""

from datetime import UTC, datetime

from pipeline.rules import Rules
from producers.scenarios.model import Scenario

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
MONDAY_MS = 4 * DAY_MS
"""1970-01-05, the first Monday."""
FIXED_WEEK_MS = 1_767_571_200_000
"""Monday 2026-01-05: a scenario that is written to a file happens in this week, where nothing else is said."""


def scenario_span(scenario: Scenario, rules: Rules, now: int) -> tuple[int, int]:
    """Start and end of a scenario that lies before `now` so far that its closing tick is not ahead of it.

    One without `starts` has just happened; else it was at the latest such weekday and time.
    """
    latest = (now - rules.grace_ms - rules.pane_ms) // rules.pane_ms * rules.pane_ms - scenario.length_ms
    if scenario.weekday_ms is not None:
        latest -= (latest - MONDAY_MS - scenario.weekday_ms) % WEEK_MS
    return latest, latest + scenario.length_ms


def fixed_start(scenario: Scenario) -> int:
    """The start of a scenario whose bytes must not depend on when they are made."""
    return FIXED_WEEK_MS + (scenario.weekday_ms or 0)


def closing_clock(end: int, rules: Rules) -> int:
    """The instant whose tick makes every window final that an event before `end` can be in."""
    last_pane = -(-end // rules.pane_ms) * rules.pane_ms
    return last_pane + rules.grace_ms + rules.pane_ms


def iso(instant_ms: int) -> str:
    """An instant as people read it: 2026-11-23T12:00:00Z."""
    return datetime.fromtimestamp(instant_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
