"""One call has one answer, whoever holds it; over the real state."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from producers.gateway.answers import Answer, CallRefusedError
from producers.gateway.held import Held
from producers.gateway.loop_state import LoopState
from producers.gateway.state import State

T = TypeVar("T")
LONG, OVER = 3_600.0, 0.0
"""Leases: longer than any test takes, and over within a millisecond."""
OURS, THEIRS = Answer(202, b"ours"), Answer(202, b"theirs")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[LoopState]:
    state = LoopState(State(tmp_path / "state.sqlite"))
    yield state
    state.close()


def held(state: LoopState, lease: float, digest: bytes = b"body") -> Held:
    return Held(state, "01234567", "key", digest, lease)


async def until(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What it gives, once it isn't refused any more."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await work()
            except CallRefusedError:
                await asyncio.sleep(0.001)


def test_a_finished_call_is_answered_again_and_an_unfinished_one_is_in_flight(state: LoopState) -> None:
    async def scenario() -> None:
        first = held(state, LONG)
        assert await first.begin() is None
        with pytest.raises(CallRefusedError) as refused:
            await held(state, LONG).begin()
        assert (refused.value.status, refused.value.headers) == (409, {"Retry-After": "1"})
        assert await first.finish(OURS) == OURS
        assert await held(state, LONG).begin() == Answer(202, b"ours", replayed=True)
        with pytest.raises(CallRefusedError) as refused:
            await held(state, LONG, b"another body").begin()
        assert refused.value.status == 422

    asyncio.run(scenario())


def test_who_lost_the_lease_gives_the_other_s_answer(state: LoopState) -> None:
    # first ── begins ─ lease over ──────────────────────────── finishes: theirs
    # second ────────────── takes it over ── finishes: theirs
    async def scenario() -> None:
        first, second = held(state, OVER), held(state, LONG)
        assert await first.begin() is None
        assert await until(second.begin) is None
        assert await second.finish(THEIRS) == THEIRS
        assert await first.finish(OURS) == Answer(202, b"theirs", replayed=True)

    asyncio.run(scenario())


def test_who_lost_the_lease_to_one_that_still_works_says_in_flight(state: LoopState) -> None:
    async def scenario() -> None:
        first, second = held(state, OVER), held(state, LONG)
        assert await first.begin() is None
        assert await until(second.begin) is None
        with pytest.raises(CallRefusedError) as refused:
            await first.finish(OURS)
        assert refused.value.status == 409
        assert await second.finish(THEIRS) == THEIRS

    asyncio.run(scenario())


def test_who_lost_the_lease_to_one_that_gave_up_answers_after_all(state: LoopState) -> None:
    async def scenario() -> None:
        first, second = held(state, OVER), held(state, LONG)
        assert await first.begin() is None
        assert await until(second.begin) is None
        await second.release()
        assert await first.finish(OURS) == OURS
        assert await held(state, LONG).begin() == Answer(202, b"ours", replayed=True)

    asyncio.run(scenario())
