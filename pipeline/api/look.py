"""Looking at something that may be slow or away: in a thread, one look at a time, and the last answer stands meanwhile."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import structlog

from pipeline.errors import ListeningError

T = TypeVar("T")
OVERDUE_SECONDS = 5.0
"""A look that takes longer is trouble."""
log = structlog.get_logger()


class Look(Generic[T]):
    """`answer`: the last there was, None before the first; `trouble`: why the last look failed, empty where it did not."""

    def __init__(self, what: str, ask: Callable[[], T], clock: Callable[[], float] = time.monotonic) -> None:
        """`what` is looked at, for sentences. `ask` runs in the look's thread, and never twice at once."""
        self._what, self._ask, self._clock = what, ask, clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"look-{what}")
        self._flight: asyncio.Future[T] | None = None
        self._began = self._asked_at = 0.0
        self._failure = ""
        self.answer: T | None = None

    async def refresh(self, seconds: float) -> None:
        """Look again, unless a look is under way; return when it is over, after `seconds` at the latest."""
        if self._flight is None:
            self._began = self._clock()
            self._flight = asyncio.get_running_loop().run_in_executor(self._thread, self._ask)
            self._flight.add_done_callback(self._landed)
        await asyncio.wait({self._flight}, timeout=seconds)

    def _landed(self, flight: "asyncio.Future[T]") -> None:
        self._flight = None
        if flight.cancelled():
            return
        try:
            self.answer, self._asked_at, self._failure = flight.result(), self._began, ""
        except ListeningError as error:
            self._failure = str(error)
        except Exception as error:  # a defect in a look must not end what shows everything else; it is shown beside it
            failure = f"looking at {self._what} failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
            if failure != self._failure:
                log.exception("a look failed", what=self._what, exc_info=error)
            self._failure = failure

    @property
    def trouble(self) -> str:
        if self._flight is not None and self._clock() - self._began > OVERDUE_SECONDS:
            return f"{self._what} has not answered for {self._clock() - self._began:.0f} s"
        if self.answer is None and not self._failure:
            return f"{self._what} has not answered yet"
        return self._failure

    @property
    def age_seconds(self) -> float | None:
        """How old the answer is: since when the look began that gave it."""
        return None if self.answer is None else self._clock() - self._asked_at

    def rest(self, clean_up: Callable[[], None]) -> None:
        """Run `clean_up` in the look's thread, after what is under way there."""
        self._thread.submit(clean_up)

    async def end(self, seconds: float) -> None:
        """No more looks; return when none is under way, after `seconds` at the latest. What was asked of `rest` is done."""
        self._thread.shutdown(wait=False)
        if self._flight is not None:
            await asyncio.wait({self._flight}, timeout=seconds)
