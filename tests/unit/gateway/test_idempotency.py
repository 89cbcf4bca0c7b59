"""Idempotency-Keys to the millisecond; random histories of them are in test_state_model."""

from pathlib import Path

import pytest

from producers.gateway.idempotency import Begun, InFlight, Mismatch, Stored
from producers.gateway.state import State

CALL = ("key", "call")
AT, LEASE = 1_000_000, 30_000
END = AT + LEASE


@pytest.fixture
def state(tmp_path: Path) -> State:
    state = State(tmp_path / "state.sqlite")
    assert state.begin(*CALL, b"x", "first", AT, LEASE) == Begun()
    return state


def test_a_call_in_flight_tells_how_long_its_lease_lasts_and_never_more_than_a_lease(state: State) -> None:
    assert state.begin(*CALL, b"x", "second", AT, LEASE) == InFlight(LEASE)
    assert state.begin(*CALL, b"x", "second", END - 1, LEASE) == InFlight(1)
    assert state.begin(*CALL, b"x", "second", AT - 5_000, LEASE) == InFlight(LEASE), "a clock that went back"
    assert state.begin(*CALL, b"x", "second", END, LEASE) == Begun()


def test_another_body_is_a_mismatch_in_flight_released_taken_over_and_finished_until_it_is_purged(state: State) -> None:
    def another(now_ms: int) -> object:
        return state.begin(*CALL, b"y", "other", now_ms, LEASE)

    assert another(AT) == another(END) == Mismatch()
    state.release(*CALL, "first")
    assert another(END) == Mismatch()
    assert state.begin(*CALL, b"x", "second", END, LEASE) == Begun()
    assert state.finish(*CALL, "second", 200, b"answer", END + 10)
    assert another(END + 10) == Mismatch()
    assert state.purge(END + 10 + 499, 500) == 0
    assert state.begin(*CALL, b"x", "third", END + 509, LEASE) == Stored(200, b"answer")
    assert state.purge(END + 10 + 500, 500) == 1
    assert another(END + 510) == Begun()


def test_the_lease_of_who_was_overtaken_does_nothing_any_more(state: State) -> None:
    assert state.begin(*CALL, b"x", "second", END, LEASE) == Begun()
    assert not state.renew(*CALL, "first", END, LEASE)
    assert not state.finish(*CALL, "first", 200, b"first", END)
    state.release(*CALL, "first")
    assert state.begin(*CALL, b"x", "third", END, LEASE) == InFlight(LEASE)
    assert state.finish(*CALL, "second", 200, b"second", END)
    assert not state.finish(*CALL, "second", 500, b"again", END)
    assert state.begin(*CALL, b"x", "third", END, LEASE) == Stored(200, b"second")


def test_who_is_late_but_was_not_overtaken_may_still_finish(state: State) -> None:
    assert state.finish(*CALL, "first", 200, b"late", END + 1)
    assert state.begin(*CALL, b"x", "second", END + 1, LEASE) == Stored(200, b"late")


def test_a_lease_is_renewed_and_by_a_clock_that_went_back_never_shortened(state: State) -> None:
    assert state.renew(*CALL, "first", AT + 10, LEASE)
    assert state.renew(*CALL, "first", AT - 10_000, LEASE)
    assert state.begin(*CALL, b"x", "second", END + 9, LEASE) == InFlight(1)
    assert state.begin(*CALL, b"x", "second", END + 10, LEASE) == Begun()


def test_what_was_released_may_be_begun_again_at_once(state: State) -> None:
    state.release(*CALL, "first")
    assert not state.finish(*CALL, "first", 200, b"", AT)
    assert state.begin(*CALL, b"x", "second", AT, LEASE) == Begun()


def test_the_same_idempotency_key_of_another_api_key_is_another_call(state: State) -> None:
    assert state.begin("other", "call", b"y", "second", AT, LEASE) == Begun()
