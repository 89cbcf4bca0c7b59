"""One producer for all who listen: it makes a text about once a second while somebody does, and hands it to each.

ask ─► make (one at a time, shared by age) ─► offer ─► a listener's queue of one, where the newest wins
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

T = TypeVar("T")
EVERY_SECONDS = 1.0
MOST_LISTENERS = 64
REST_SECONDS = 30.0
"""So long after it was last asked it lets go of what it holds."""
log = structlog.get_logger()


class Listener(Generic[T]):
    """One who listens. Who is slow misses what is between, and holds nobody up."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[T | None] = asyncio.Queue(1)

    def offer(self, item: T | None) -> None:
        """Take the place of what was not taken yet; None: that was all."""
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(item)

    async def next(self) -> T | None:
        return await self._queue.get()


class Feed(Generic[T]):
    """To be used in one event loop. `makes`, `listeners`: how often something was made, and for whom."""

    def __init__(
        self,
        make: Callable[[], Awaitable[T]],
        rest: Callable[[], None],
        share_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`make` may be asked for what is older than `share_seconds`; `rest` is called when nobody asks any more."""
        self._make, self._rest, self._share, self._clock, self._sleep = make, rest, share_seconds, clock, sleep
        self._made: tuple[float, T] | None = None
        self._making: asyncio.Task[T] | None = None
        self._producer: asyncio.Task[None] | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._ended = False
        self.listeners: set[Listener[T]] = set()
        self.makes = 0

    async def current(self) -> T:
        """What was made within `share_seconds`, or is made now, for all who ask meanwhile."""
        if self._made and self._clock() - self._made[0] <= self._share:
            return self._made[1]
        return await self._anew()

    def join(self) -> Listener[T] | None:
        """Listen; None where too many do, or all has ended. What was just made comes at once."""
        if self._ended or len(self.listeners) >= MOST_LISTENERS:
            return None
        listener: Listener[T] = Listener()
        if self._made and self._clock() - self._made[0] <= max(self._share, EVERY_SECONDS):
            listener.offer(self._made[1])
        self.listeners.add(listener)
        if self._producer is None:
            self._producer = asyncio.get_running_loop().create_task(self._produce())
        return listener

    def leave(self, listener: Listener[T]) -> None:
        self.listeners.discard(listener)

    def end(self) -> None:
        """Tell all who listen that it is over; nobody can join any more."""
        self._ended = True
        for listener in self.listeners:
            listener.offer(None)
        for task in (self._producer, self._making):
            if task is not None:
                task.cancel()
        if self._resting is not None:
            self._resting.cancel()

    async def _produce(self) -> None:
        try:
            while self.listeners:
                began = self._clock()
                try:
                    item = await self._anew()
                except Exception:  # said, and tried again: a stream must not end for it
                    log.exception("the stream has nothing to tell")
                else:
                    for listener in self.listeners:
                        listener.offer(item)
                await self._sleep(max(0.0, began + EVERY_SECONDS - self._clock()))
        finally:
            self._producer = None

    async def _anew(self) -> T:
        if self._making is None:
            self._making = asyncio.get_running_loop().create_task(self._make_one())
        return await asyncio.shield(self._making)

    async def _make_one(self) -> T:
        try:
            self.makes += 1
            began = self._clock()
            item = await self._make()
            self._made = (began, item)
            return item
        finally:
            self._making = None
            self._rest_later()

    def _rest_later(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
        if not self._ended:
            self._resting = asyncio.get_running_loop().call_later(REST_SECONDS, self._rest)
