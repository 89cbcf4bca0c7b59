"""The sliding-window limiter: exact, and pure.

No half-open window of `window_ms`, wherever in time it begins, ever holds more admitted events than the limit. Two instants
share such a window where they are less than `window_ms` apart, so a charge exactly that old weighs nothing any more. All
follows from running totals (events ever charged), so a window's sum is one subtraction, however many charges lie in it.

A clock that goes back is taken for the newest instant charged so far: later charges then lie there, never before it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

NEVER = -1
"""retry_after_ms of a call that is larger than the limit."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many events in any half-open window of so many milliseconds."""

    events: int
    window_ms: int

    def __post_init__(self) -> None:
        if self.events < 1 or self.window_ms < 1:
            raise ValueError(f"a limit is at least 1 event in at least 1 ms, not {self.events} in {self.window_ms} ms")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a call. Waits are counted from the caller's own clock."""

    allowed: bool
    remaining: int
    """Events that could still be charged at this instant, after this call where it is allowed."""
    retry_after_ms: int
    """0: allowed. Else the least wait after which the same call would be, if nobody else asked; NEVER: in no time."""
    reset_ms: int
    """The wait until all of the limit is free again, if nobody else asked; 0: it is."""


class Running(Protocol):
    """Running totals of one key: how many events had been charged by when. Forgetting what left the window is allowed."""

    @property
    def newest_ms(self) -> int | None:
        """The instant of the last charge; None: there is none."""

    @property
    def total(self) -> int:
        """Events charged in all."""

    def upto(self, at_ms: int) -> int:
        """Events charged at or before an instant; asked only for the begin of a window that ends at the newest or later."""

    def reached(self, total: int) -> int:
        """The first instant by which so many events had been charged; asked only for what lies in the window."""


def charged_at(newest_ms: int | None, now_ms: int) -> int:
    """The instant at which a charge made now is recorded."""
    return now_ms if newest_ms is None else max(now_ms, newest_ms)


def weigh(running: Running, now_ms: int, events: int, limit: Limit) -> Verdict:
    """Whether so many events may be charged now. Charges nothing. Raises ValueError for a negative number."""
    if events < 0:
        raise ValueError(f"{events} events can't be charged")
    newest_ms, total = running.newest_ms, running.total
    at_ms = charged_at(newest_ms, now_ms)
    used = total - running.upto(at_ms - limit.window_ms)
    if used + events <= limit.events:
        last_ms = at_ms if events or newest_ms is None else newest_ms
        reset_ms = last_ms + limit.window_ms - now_ms if used + events else 0
        return Verdict(True, limit.events - used - events, 0, reset_ms)
    retry_after_ms = NEVER
    if events <= limit.events:  # room is made as soon as the charge that reached this total leaves the window
        retry_after_ms = running.reached(total + events - limit.events) + limit.window_ms - now_ms
    reset_ms = newest_ms + limit.window_ms - now_ms if used and newest_ms is not None else 0
    return Verdict(False, max(0, limit.events - used), retry_after_ms, reset_ms)


def decide(spent: Sequence[tuple[int, int]], now_ms: int, events: int, limit: Limit) -> Verdict:
    """The same over charges in memory. `spent`: (at_ms, events), ascending."""
    return weigh(_Listed(spent), now_ms, events, limit)


class _Listed:
    def __init__(self, spent: Sequence[tuple[int, int]]) -> None:
        self._instants = [at_ms for at_ms, _ in spent]
        self._totals = list(accumulate((events for _, events in spent), initial=0))
        self.newest_ms = self._instants[-1] if spent else None
        self.total = self._totals[-1]

    def upto(self, at_ms: int) -> int:
        return self._totals[bisect_right(self._instants, at_ms)]

    def reached(self, total: int) -> int:
        return self._instants[bisect_left(self._totals, total) - 1]
