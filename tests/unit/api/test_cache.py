"""The cache of answers, by a clock that the test turns and questions that the test holds."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pipeline.api.cache import MOST_FLIGHTS, Cache
from pipeline.errors import UnavailableError

SECONDS = 20


class Clock:
    """Stands still until it is turned."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Counted:
    """A question that answers how often it was asked; while `gate` is closed it does not come back."""

    def __init__(self) -> None:
        self.asked, self.gate, self.fails = 0, threading.Event(), False
        self.threads: list[str] = []
        self.gate.set()

    def __call__(self) -> bytes:
        self.asked += 1
        number = self.asked
        self.threads.append(threading.current_thread().name)
        assert self.gate.wait(SECONDS)
        if self.fails:
            raise UnavailableError(f"away, the {number}th time")
        return b'{"number":%d}' % number


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, SECONDS))


def read(body: bytes) -> tuple[int, int]:
    found = json.loads(body)
    assert set(found) == {"age_ms", "number"}
    return found["number"], found["age_ms"]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_a_hundred_who_ask_at_once_wait_for_one_computation() -> None:
    async def test() -> None:
        cache, question = Cache(1, clock=Clock()), Counted()
        question.gate.clear()
        waiting = [asyncio.create_task(cache.answer("key", question)) for _ in range(100)]
        await until(lambda: question.asked == 1)
        await asyncio.sleep(0)
        question.gate.set()
        assert {read(body) for body in await asyncio.gather(*waiting)} == {(1, 0)}
        assert question.asked == 1

    run(test())


def test_questions_run_in_threads_and_the_loop_goes_on_meanwhile() -> None:
    async def test() -> None:
        cache, slow, quick = Cache(1, clock=Clock()), Counted(), Counted()
        slow.gate.clear()
        held = asyncio.create_task(cache.answer("slow", slow))
        await until(lambda: slow.asked == 1)
        assert read(await cache.answer("quick", quick)) == (1, 0)
        assert not held.done()
        slow.gate.set()
        assert read(await held) == (1, 0)
        assert threading.current_thread().name not in slow.threads + quick.threads

    run(test())


@pytest.mark.parametrize(("later", "number"), [(0.0, 1), (0.25, 1), (0.5, 1), (1.0, 1), (1.001, 2), (60.0, 2)])
def test_an_answer_is_given_until_it_is_too_old_and_never_after(later: float, number: int) -> None:
    """asked ── 1 s: its bound ──┤ after that: asked anew."""

    async def test() -> None:
        clock, question = Clock(), Counted()
        cache = Cache(1, clock=clock)
        await cache.answer("key", question)
        clock.now += later
        assert read(await cache.answer("key", question)) == (number, round(later * 1000) if number == 1 else 0)

    run(test())


def test_an_answer_past_half_its_time_is_given_while_one_refresh_runs_behind_it() -> None:
    async def test() -> None:
        clock, question = Clock(), Counted()
        cache = Cache(1, clock=clock)
        await cache.answer("key", question)
        clock.now += 0.5
        assert read(await cache.answer("key", question)) == (1, 500)
        assert question.asked == 1
        question.gate.clear()
        clock.now += 0.125
        for _ in range(50):
            assert read(await cache.answer("key", question)) == (1, 625)
        await until(lambda: question.asked == 2)
        question.gate.set()
        await until(lambda: cache.hit("key") == b'{"age_ms":0,"number":2}')
        assert question.asked == 2

    run(test())


def test_an_age_counts_from_when_the_question_was_put_not_from_when_it_was_answered() -> None:
    async def test() -> None:
        clock, question = Clock(), Counted()
        cache = Cache(1, clock=clock)
        question.gate.clear()
        first = asyncio.create_task(cache.answer("key", question))
        await until(lambda: question.asked == 1)
        clock.now += 0.5
        question.gate.set()
        assert read(await first) == (1, 0)
        assert read(await cache.answer("key", question)) == (1, 500)

    run(test())


def test_who_asks_while_a_computation_is_too_old_waits_for_it_and_gets_the_next() -> None:
    """began ── 1.5 s: asked ── answered ── the next begins: what was visible when it was asked for is in it."""

    async def test() -> None:
        clock, question = Clock(), Counted()
        cache = Cache(1, clock=clock)
        question.gate.clear()
        early = asyncio.create_task(cache.answer("key", question))
        await until(lambda: question.asked == 1)
        clock.now += 1.5
        late = [asyncio.create_task(cache.answer("key", question)) for _ in range(20)]
        await asyncio.sleep(0)
        assert question.asked == 1
        question.gate.set()
        assert read(await early) == (1, 0)
        assert {read(body) for body in await asyncio.gather(*late)} == {(2, 0)}
        assert question.asked == 2

    run(test())


def test_an_error_reaches_all_who_wait_and_is_not_kept() -> None:
    async def test() -> None:
        cache, question = Cache(1, clock=Clock()), Counted()
        question.fails = True
        question.gate.clear()
        waiting = [asyncio.create_task(cache.answer("key", question)) for _ in range(10)]
        await until(lambda: question.asked == 1)
        question.gate.set()
        errors = await asyncio.gather(*waiting, return_exceptions=True)
        assert {str(error) for error in errors} == {"away, the 1th time"}
        question.fails = False
        assert read(await cache.answer("key", question)) == (2, 0)

    run(test())


def test_a_refresh_that_fails_leaves_the_old_answer_until_its_time_is_over() -> None:
    async def test() -> None:
        clock, question = Clock(), Counted()
        cache = Cache(1, clock=clock)
        await cache.answer("key", question)
        question.fails = True
        clock.now += 0.75
        assert read(await cache.answer("key", question)) == (1, 750)
        await until(lambda: question.asked == 2)
        clock.now += 0.25
        assert read(await cache.answer("key", question)) == (1, 1000)
        clock.now += 0.001
        with pytest.raises(UnavailableError, match="away"):
            await cache.answer("key", question)

    run(test())


def test_who_goes_away_takes_nobody_s_answer_along() -> None:
    async def test() -> None:
        cache, question = Cache(1, clock=Clock()), Counted()
        question.gate.clear()
        first = asyncio.create_task(cache.answer("key", question))
        await until(lambda: question.asked == 1)
        second = asyncio.create_task(cache.answer("key", question))
        await asyncio.sleep(0)
        first.cancel()
        question.gate.set()
        assert read(await second) == (1, 0)
        assert first.cancelled()
        assert question.asked == 1

    run(test())


def test_with_no_time_at_all_every_answer_was_computed_after_it_was_asked_for() -> None:
    async def test() -> None:
        clock, question = Clock(), Counted()
        cache = Cache(0, clock=clock)
        for number in (1, 2, 3):
            assert read(await cache.answer("key", question)) == (number, 0)
            clock.now += 0.001

    run(test())


def test_the_oldest_answers_go_where_there_are_too_many() -> None:
    async def test() -> None:
        clock, questions = Clock(), [Counted() for _ in range(4)]
        cache = Cache(60, clock=clock, most_entries=3)
        for key in (0, 1, 2):
            await cache.answer(key, questions[key])
            clock.now += 1
        clock.now += 30
        assert cache.hit(0)  # past half its time: refreshed, and so the newest
        await until(lambda: cache.hit(0) == b'{"age_ms":0,"number":2}')
        await cache.answer(3, questions[3])
        assert [bool(cache.hit(key)) for key in (0, 1, 2, 3)] == [True, False, True, True]

    run(test())


def test_the_oldest_answers_go_where_they_are_too_large_together_and_outdated_ones_in_any_case() -> None:
    async def test() -> None:
        clock = Clock()
        cache = Cache(1, clock=clock, most_bytes=1000)
        for key in (1, 2):
            await cache.answer(key, lambda: b'{"text":"' + b"x" * 400 + b'"}')
        assert cache.hit(1)
        await cache.answer(3, lambda: b'{"text":"' + b"x" * 400 + b'"}')
        assert [bool(cache.hit(key)) for key in (1, 2, 3)] == [False, True, True]
        assert cache.kept == (2, 2 * 410)
        clock.now += 2
        await cache.answer(4, lambda: b"{}")
        assert cache.kept == (1, 1)
        huge = b'{"text":"' + b"x" * 2000 + b'"}'
        assert (await cache.answer(5, lambda: huge))[-2000:] == huge[-2000:]
        assert cache.kept == (0, 0)

    run(test())


def test_too_many_different_questions_at_once_are_refused_and_stored_answers_still_given() -> None:
    async def test() -> None:
        clock = Clock()
        cache, known, held = Cache(1, clock=clock), Counted(), Counted()
        await cache.answer("known", known)
        held.gate.clear()
        waiting = [asyncio.create_task(cache.answer(n, held)) for n in range(MOST_FLIGHTS)]
        await until(lambda: held.asked > 0)
        with pytest.raises(UnavailableError, match=r"busy with many other questions: try again in a second"):
            await cache.answer("one more", known)
        clock.now += 0.75
        assert read(await cache.answer("known", known)) == (1, 750)
        held.gate.set()
        assert len(await asyncio.gather(*waiting)) == MOST_FLIGHTS
        assert read(await cache.answer("one more", known))[0] == 2

    run(test())


def test_a_closed_cache_waits_for_what_is_at_work_and_begins_nothing() -> None:
    async def test() -> None:
        clock = Clock()
        cache, known, held = Cache(1, clock=clock, threads=1), Counted(), Counted()
        await cache.answer("known", known)
        held.gate.clear()
        at_work = asyncio.create_task(cache.answer("held", held))
        await until(lambda: held.asked == 1)
        queued = asyncio.create_task(cache.answer("queued", known))
        await asyncio.sleep(0)
        closing = asyncio.create_task(cache.close(SECONDS))
        await asyncio.sleep(0)
        assert not closing.done()
        held.gate.set()
        await closing
        assert read(await at_work) == (1, 0)
        assert (await asyncio.gather(queued, return_exceptions=True))[0].__class__ is asyncio.CancelledError
        clock.now += 0.75
        assert read(await cache.answer("known", known)) == (1, 750)
        with pytest.raises(UnavailableError, match="ending"):
            await cache.answer("new", known)
        assert known.asked == 1

    run(test())
