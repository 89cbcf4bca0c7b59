"""The limiter against a brute force that adds up every window."""

from dataclasses import astuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.gateway.limit import NEVER, Limit, Verdict, decide
from tests.unit.gateway.windows import Admitted, fullest

WINDOW = 12
GAPS = st.one_of(st.sampled_from([0, 0, 1, WINDOW - 1, WINDOW, WINDOW + 1]), st.integers(-2 * WINDOW, 2 * WINDOW))
"""Between two calls: ties, gaps that are a window to the millisecond, and clocks that go back."""
CALLS = st.lists(st.tuples(GAPS, st.integers(0, 8)), max_size=25)


@settings(max_examples=300, deadline=None)
@given(CALLS, st.integers(1, 7))
def test_no_window_anywhere_ever_holds_more_and_nothing_is_refused_that_every_window_would_hold(
    calls: list[tuple[int, int]], limit: int
) -> None:
    truth, now_ms = Admitted(limit, WINDOW), 1_000
    for gap, events in calls:
        now_ms += gap
        verdict = decide(list(truth.charges), now_ms, events, Limit(limit, WINDOW))
        assert astuple(verdict) == truth.charge(now_ms, events)
    assert fullest(truth.charges, WINDOW) <= limit


@settings(max_examples=200, deadline=None)
@given(CALLS, st.integers(1, 7), st.integers(1, 7))
def test_a_refused_call_is_admitted_after_retry_after_and_not_one_millisecond_before(
    calls: list[tuple[int, int]], limit: int, events: int
) -> None:
    truth, now_ms, rule = Admitted(limit, WINDOW), 1_000, Limit(limit, WINDOW)
    for gap, size in calls:
        now_ms += gap
        truth.charge(now_ms, size)
    verdict = decide(truth.charges, now_ms, events, rule)
    if verdict.retry_after_ms > 0:
        assert not verdict.allowed
        assert decide(truth.charges, now_ms + verdict.retry_after_ms, events, rule).allowed
        assert not decide(truth.charges, now_ms + verdict.retry_after_ms - 1, events, rule).allowed
    else:
        assert verdict.allowed == (verdict.retry_after_ms == 0)


def test_a_charge_weighs_nothing_any_more_when_it_is_a_whole_window_old() -> None:
    """1000 ├──── 4 ────┤ 1100: the window [1000, 1100) doesn't hold 1100."""
    assert decide([(1_000, 4)], 1_099, 1, Limit(4, 100)) == Verdict(False, 0, 1, 1)
    assert decide([(1_000, 4)], 1_100, 4, Limit(4, 100)) == Verdict(True, 0, 0, 100)


def test_a_call_larger_than_the_limit_is_told_that_no_wait_helps() -> None:
    assert decide([], 1_000, 5, Limit(4, 100)) == Verdict(False, 4, NEVER, 0)


def test_a_limit_that_was_lowered_since_leaves_nothing_and_names_the_wait() -> None:
    """1000: 6, 1010: 2; at 1020 under a limit of 3: both must go before 2 fit, the first alone before 1 does."""
    spent = [(1_000, 6), (1_010, 2)]
    assert decide(spent, 1_020, 2, Limit(3, 100)) == Verdict(False, 0, 90, 90)
    assert decide(spent, 1_020, 1, Limit(3, 100)) == Verdict(False, 0, 80, 90)


@pytest.mark.parametrize(("events", "window_ms"), [(0, 1), (1, 0), (-1, 1)])
def test_a_limit_of_nothing_is_refused(events: int, window_ms: int) -> None:
    with pytest.raises(ValueError, match="at least 1 event"):
        Limit(events, window_ms)


def test_a_negative_charge_is_refused() -> None:
    with pytest.raises(ValueError, match="can't be charged"):
        decide([], 0, -1, Limit(1, 1))
