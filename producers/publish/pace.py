"""When records may go: at once, at a rate, at a speed, or when their time has come."""

import time
from typing import Protocol

import numpy as np

from producers.columns import Array


class Pace(Protocol):
    """How many of the next records are due."""

    def due(self, sent_at: Array) -> int:
        """How many of the next records (when each is sent, in order, epoch ms) may go now. They are taken as gone."""

    def reached(self, instant: int) -> bool:
        """Whether the producer's clock may pass this instant (epoch ms)."""


class AtOnce:
    """As fast as it goes."""

    def due(self, sent_at: Array) -> int:
        return len(sent_at)

    def reached(self, instant: int) -> bool:  # noqa: ARG002
        return True


class AtRate:
    """So many records a second, whatever the scenario's clock says."""

    def __init__(self, rate: float) -> None:
        self._rate, self._began, self._gone = rate, time.monotonic(), 0

    def due(self, sent_at: Array) -> int:
        allowed = int((time.monotonic() - self._began) * self._rate) - self._gone
        count = max(0, min(len(sent_at), allowed))
        self._gone += count
        return count

    def reached(self, instant: int) -> bool:  # noqa: ARG002
        return True


class AtSpeed:
    """With the gaps that the scenario's clock has, divided by the speed; `start` (epoch ms) is now."""

    def __init__(self, speed: float, start: int) -> None:
        self._speed, self._start, self._began = speed, start, time.monotonic()

    def due(self, sent_at: Array) -> int:
        return int(np.searchsorted(sent_at, self._clock(), side="right"))

    def reached(self, instant: int) -> bool:
        return self._clock() >= instant

    def _clock(self) -> float:
        return self._start + (time.monotonic() - self._began) * 1000 * self._speed


class RealTime:
    """When it is time: the scenario's clock is this machine's."""

    def due(self, sent_at: Array) -> int:
        return int(np.searchsorted(sent_at, now_ms(), side="right"))

    def reached(self, instant: int) -> bool:
        return now_ms() >= instant


def now_ms() -> int:
    """This machine's clock, epoch milliseconds."""
    return time.time_ns() // 1_000_000
