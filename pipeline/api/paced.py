"""A question that is asked the less often the more it costs."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
SHARE = 0.1
"""Of the time, at most this much is spent with one question, as long as its answers don't get older than"""
LONGEST_SECONDS = 5.0


class Paced(Generic[T]):
    """Called, it gives the answer and its age in seconds, from when it was asked for. One that took t seconds stands for
    t / SHARE, or the longest."""

    def __init__(self, ask: Callable[[], T], clock: Callable[[], float] = time.monotonic, share: float = SHARE) -> None:
        self._ask, self._clock, self._share = ask, clock, share
        self._answer: T | None = None
        self._asked_at = self._again_at = float("-inf")

    @property
    def stands_seconds(self) -> float:
        """How long the answer stands in all."""
        return max(0.0, self._again_at - self._asked_at) if self._answer is not None else 0.0

    def __call__(self) -> tuple[T | None, float]:
        """Raises what `ask` raises."""
        began = self._clock()
        if began >= self._again_at:
            self._answer = self._ask()
            self._asked_at, ended = began, self._clock()
            self._again_at = ended + min((ended - began) / self._share, LONGEST_SECONDS)
        return self._answer, self._clock() - self._asked_at
