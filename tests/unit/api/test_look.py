"""Looks that are slow, fail, or never end; and questions that are paced by what they cost."""

import asyncio
import threading

import pytest

from pipeline.api.look import OVERDUE_SECONDS, Look
from pipeline.api.paced import LONGEST_SECONDS, Paced
from pipeline.api.rates import KEPT, RateOf
from pipeline.api.totals import COLUMNS
from pipeline.errors import UnavailableError


def test_a_look_that_takes_long_leaves_the_last_answer_and_is_never_made_twice_at_once() -> None:
    calls, go = [], threading.Event()
    clock = [0.0]

    def ask() -> int:
        calls.append(threading.current_thread().name)
        assert len(calls) == 1 or go.wait(20)
        return len(calls)

    async def test() -> None:
        look = Look("the engine", ask, lambda: clock[0])
        assert look.trouble == "the engine has not answered yet"
        await look.refresh(20)
        assert (look.answer, look.trouble) == (1, "")
        for _ in range(3):
            await look.refresh(0.01)
            while len(calls) < 2:  # its thread comes when it comes
                await asyncio.sleep(0.001)
        assert (look.answer, look.trouble, len(calls)) == (1, "", 2)
        clock[0] = OVERDUE_SECONDS + 1
        assert look.trouble == "the engine has not answered for 6 s"
        assert look.age_seconds == 6
        go.set()
        await look.refresh(20)
        assert (look.answer, look.trouble, look.age_seconds) == (2, "", 6)  # since it was asked
        await look.end(20)

    asyncio.run(asyncio.wait_for(test(), 30))


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (UnavailableError("it is away"), "it is away"),
        (ZeroDivisionError("oh"), "looking at the engine failed: ZeroDivisionError: oh"),
    ],
)
def test_a_look_that_fails_says_why_and_the_next_may_succeed(error: Exception, sentence: str) -> None:
    answers: list[int | Exception] = [1, error, 2]

    def ask() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def test() -> None:
        look = Look("the engine", ask)
        seen = []
        for _ in range(3):
            await look.refresh(20)
            seen.append((look.answer, look.trouble))
        assert seen == [(1, ""), (1, sentence), (2, "")]
        await look.end(20)

    asyncio.run(asyncio.wait_for(test(), 30))


def test_a_question_that_took_long_stands_for_long_but_not_for_ever() -> None:
    now, asked, takes = [0.0], [], [0.2, 2.0, 0.0]

    def ask() -> int:
        asked.append(now[0])
        now[0] += takes[len(asked) - 1]
        return len(asked)

    paced = Paced(ask, lambda: now[0], share=0.1)
    assert paced() == (1, 0.2)  # its age counts from when it was asked for
    now[0] = 2.1
    answer, age = paced()
    assert (answer, round(age, 3)) == (1, 2.1)
    assert round(paced.stands_seconds, 3) == 2.2
    now[0] = 2.25
    assert paced() == (2, 2.0)
    assert round(paced.stands_seconds, 3) == 2.0 + LONGEST_SECONDS  # not twenty
    now[0] = 4.3 + LONGEST_SECONDS
    assert paced() == (3, 0.0)
    assert asked == [0.0, 2.25, 4.3 + LONGEST_SECONDS]


def totals(records: int) -> dict[str, int]:
    return dict.fromkeys(COLUMNS, 0) | {"records": records, "accepted": records // 2}


def test_rates_are_over_the_last_few_totals() -> None:
    rates = RateOf()
    assert rates.add(10.0, totals(100)).records_per_second == 0
    assert rates.add(12.0, totals(300)).records_per_second == 100
    assert rates.add(12.0, totals(300)).records_per_second == 100  # the same is no news
    for step in range(1, KEPT):
        now = rates.add(12.0 + step, totals(300 + 10 * step))
    assert (now.records_per_second, now.accepted_per_second) == (10, 5)
    assert rates.add(60.0, totals(5000)).records_per_second == 0  # what lies so far back says nothing of now
    assert rates.add(61.0, totals(5001)).records_per_second == 1
