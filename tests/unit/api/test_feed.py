"""One producer for all who listen: clocks and sleeps are given, so nothing here waits for time."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from pipeline.api import feed as feeds
from pipeline.api.feed import EVERY_SECONDS, Feed, Listener

SECONDS = 30
"""A bound, not an expectation: on a busy machine a process may stand still for a while at any moment."""


class Ground:
    """A feed of the numbers 1, 2, …, whose clock stands until it is moved and whose producer sleeps until it is woken."""

    def __init__(self, share: float = 1.0) -> None:
        self.now, self.made, self.rested, self.fails, self.takes = 100.0, 0, 0, False, 0.0
        self.wake, self.asleep = asyncio.Event(), asyncio.Event()
        self.feed: Feed[int] = Feed(self._make, self._rest, share, lambda: self.now, self._sleep)

    async def _make(self) -> int:
        await asyncio.sleep(0)
        self.now += self.takes
        self.made += 1
        if self.fails:
            raise ValueError("a defect")
        return self.made

    def _rest(self) -> None:
        self.rested += 1

    async def _sleep(self, seconds: float) -> None:
        assert 0 <= seconds <= EVERY_SECONDS
        self.asleep.set()
        await self.wake.wait()
        self.wake.clear()

    async def round(self) -> None:
        """One round of the producer, up to its next sleep."""
        async with asyncio.timeout(SECONDS):
            await self.asleep.wait()
        self.asleep.clear()
        self.now += EVERY_SECONDS
        self.wake.set()
        async with asyncio.timeout(SECONDS):
            await self.asleep.wait()

    def join(self) -> Listener[int]:
        listener = self.feed.join()
        assert listener is not None
        return listener


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 2 * SECONDS))


async def soon(awaited: Awaitable[int | None]) -> int | None:
    return await asyncio.wait_for(awaited, SECONDS)


def test_many_who_ask_at_once_share_one_making() -> None:
    async def test() -> None:
        ground = Ground()
        assert await asyncio.gather(*(ground.feed.current() for _ in range(50))) == [1] * 50
        assert ground.feed.makes == 1

    run(test)


@pytest.mark.parametrize(("later", "expected"), [(0.0, 1), (1.0, 1), (1.001, 2)])
def test_what_was_made_is_shared_up_to_its_age(later: float, expected: int) -> None:
    async def test() -> None:
        ground = Ground(share=1.0)
        await ground.feed.current()
        ground.now += later
        assert await ground.feed.current() == expected

    run(test)


def test_the_time_that_a_making_took_counts_to_its_age() -> None:
    async def test() -> None:
        ground = Ground(share=1.0)
        ground.takes = 0.75
        await ground.feed.current()
        ground.now += 0.25
        assert await ground.feed.current() == 1
        ground.now += 0.25
        assert await ground.feed.current() == 2

    run(test)


def test_all_who_listen_get_each_round_from_one_making() -> None:
    async def test() -> None:
        ground = Ground()
        listeners = [ground.join() for _ in range(20)]
        assert [await soon(one.next()) for one in listeners] == [1] * 20
        for expected in (2, 3):
            await ground.round()
            assert [await soon(one.next()) for one in listeners] == [expected] * 20
        assert ground.feed.makes == 3
        ground.feed.end()

    run(test)


def test_who_is_slow_gets_the_newest_and_holds_nobody_up() -> None:
    async def test() -> None:
        ground = Ground()
        slow, quick = ground.join(), ground.join()
        heard = [await soon(quick.next())]
        for _ in range(4):
            await ground.round()
            heard.append(await soon(quick.next()))
        assert heard == [1, 2, 3, 4, 5]
        assert await soon(slow.next()) == 5
        ground.feed.end()
        assert await soon(slow.next()) is None

    run(test)


def test_who_joins_later_gets_what_was_just_made_at_once() -> None:
    async def test() -> None:
        ground = Ground()
        await soon(ground.join().next())
        assert await soon(ground.join().next()) == 1
        assert ground.feed.makes == 1
        ground.feed.end()

    run(test)


def test_nothing_is_made_when_nobody_listens_any_more_and_again_when_somebody_does() -> None:
    async def test() -> None:
        ground = Ground()
        listener = ground.join()
        await soon(listener.next())
        ground.feed.leave(listener)
        await ground.asleep.wait()
        ground.wake.set()
        while ground.feed._producer is not None:
            await asyncio.sleep(0)
        assert ground.feed.makes == 1
        ground.now += 60
        assert await soon(ground.join().next()) == 2
        ground.feed.end()

    run(test)


def test_a_making_that_fails_is_tried_again_and_the_stream_goes_on() -> None:
    async def test() -> None:
        ground = Ground()
        listener = ground.join()
        assert await soon(listener.next()) == 1
        ground.fails = True
        await ground.round()
        ground.fails = False
        await ground.round()
        assert await soon(listener.next()) == 3
        ground.feed.end()

    run(test)


def test_so_many_may_listen_and_a_place_that_is_left_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "MOST_LISTENERS", 3)

    async def test() -> None:
        ground = Ground()
        listeners = [ground.join() for _ in range(3)]
        assert ground.feed.join() is None
        ground.feed.leave(listeners[1])
        assert ground.feed.join() is not None
        ground.feed.end()
        assert ground.feed.join() is None

    run(test)


def test_it_lets_go_some_time_after_it_was_last_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "REST_SECONDS", 0.0)

    async def test() -> None:
        ground = Ground()
        await ground.feed.current()
        while not ground.rested:
            await asyncio.sleep(0)
        assert ground.rested == 1

    run(test)
