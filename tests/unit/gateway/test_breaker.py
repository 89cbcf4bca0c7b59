"""The circuit breaker: a pure state machine, at times that the test gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.gateway.breaker import Breaker, Policy, Ticket

POLICY = Policy(failures=3, open_seconds=2.0, most_seconds=5.0)


def opened(at: float = 10.0) -> Breaker:
    breaker = Breaker(POLICY)
    for _ in range(3):
        breaker.failed(breaker.admit(at), at)
    return breaker


def test_closed_lets_everybody_in() -> None:
    breaker = Breaker(POLICY)
    assert [breaker.admit(at) for at in (0.0, 1.0, 1.0)] == [Ticket(), Ticket(), Ticket()]
    assert breaker.state == "closed"


def test_so_many_failures_in_a_row_open_it_and_a_success_between_starts_the_count_again() -> None:
    breaker = Breaker(POLICY)
    for succeeds in (False, False, True, False, False):
        ticket = breaker.admit(0.0)
        breaker.succeeded() if succeeds else breaker.failed(ticket, 0.0)
    assert (breaker.state, breaker.failures) == ("closed", 2)
    breaker.failed(breaker.admit(0.0), 0.0)
    assert (breaker.state, breaker.failures) == ("open", 3)


def test_open_says_how_long_a_wait_is_worth_it() -> None:
    breaker = opened(at=10.0)
    assert [breaker.admit(at).wait_seconds for at in (10.0, 10.5, 11.9)] == pytest.approx([2.0, 1.5, 0.1])


def test_when_its_time_is_over_it_says_so_to_whoever_asks_and_keeps_the_probe_for_who_comes() -> None:
    breaker = opened(at=10.0)
    assert [breaker.wait(at) for at in (10.0, 11.5, 12.0, 12.0)] == pytest.approx([2.0, 0.5, 0.0, 0.0])
    assert breaker.admit(12.0).is_probe
    assert breaker.wait(12.0) == 2.0


def test_one_probe_at_a_time_and_its_success_closes() -> None:
    breaker = opened(at=10.0)
    probe = breaker.admit(12.0)
    assert (probe, breaker.state) == (Ticket(is_probe=True), "half_open")
    assert breaker.admit(12.0).wait_seconds == 2.0
    breaker.succeeded()
    assert (breaker.state, breaker.failures, breaker.admit(12.0)) == ("closed", 0, Ticket())


def test_a_probe_that_fails_doubles_the_wait_up_to_the_bound_and_a_success_forgets_that() -> None:
    # open 2 s ─► probe fails ─► 4 s ─► probe fails ─► 5 s (bound) ─► probe succeeds ─► three failures ─► 2 s
    breaker, at, waits = opened(at=0.0), 0.0, []
    for _ in range(3):
        waits.append(breaker.admit(at).wait_seconds)
        at += waits[-1]
        breaker.failed(breaker.admit(at), at)
    assert waits == [2.0, 4.0, 5.0]
    at += 5.0
    assert breaker.admit(at).is_probe
    breaker.succeeded()
    for _ in range(3):
        breaker.failed(breaker.admit(at), at)
    assert breaker.admit(at).wait_seconds == 2.0


def test_calls_from_before_it_opened_neither_end_the_probe_nor_prolong_the_wait() -> None:
    breaker = Breaker(POLICY)
    old = [breaker.admit(0.0) for _ in range(6)]
    for ticket in old[:4]:
        breaker.failed(ticket, 10.0)
    assert breaker.admit(11.0).wait_seconds == 1.0
    probe = breaker.admit(12.0)
    breaker.failed(old[4], 12.5)
    breaker.dropped(old[5])
    assert breaker.state == "half_open"
    breaker.failed(probe, 13.0)
    assert breaker.admit(13.0).wait_seconds == 4.0


def test_an_old_call_that_is_acknowledged_after_all_closes_it() -> None:
    breaker = opened()
    breaker.succeeded()
    assert breaker.state == "closed"


def test_a_probe_that_never_came_to_kafka_leaves_its_place_to_the_next_call() -> None:
    breaker = opened(at=0.0)
    breaker.dropped(breaker.admit(2.0))
    assert breaker.state == "open"
    assert breaker.admit(2.0).is_probe


@pytest.mark.parametrize("wrong", [{"failures": 0}, {"open_seconds": 0.0}, {"open_seconds": 9.0, "most_seconds": 8.0}])
def test_a_policy_that_never_opens_or_never_closes_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="breaker"):
        Policy(**wrong)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["succeeds", "fails", "dropped", "slow"])), max_size=60))
def test_while_kafka_fails_few_calls_reach_it_whatever_the_schedule(steps: list[tuple[float, str]]) -> None:
    """Independent count: between two successes, no more than 3 calls and then one for every 2 s that pass, and one probe."""
    breaker, at, waiting = Breaker(POLICY), 0.0, []
    since_success, failed = 0.0, 0
    for passes, how in steps:
        at += passes
        ticket = breaker.admit(at)
        if ticket.wait_seconds:
            assert breaker.state != "closed"
            assert ticket.wait_seconds <= 5.0
            continue
        if how == "slow":
            waiting.append(ticket)
        elif how == "succeeds":
            breaker.succeeded()
            since_success, failed, waiting = at, 0, []
        elif how == "fails":
            breaker.failed(ticket, at)
            failed += 1
        else:
            breaker.dropped(ticket)
        assert failed <= 3 + (at - since_success) / 2.0
        assert (breaker.state == "closed") == (failed < 3)
