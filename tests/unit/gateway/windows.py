"""Sliding windows by brute force: every one of them is added up. Shares nothing with the limiter."""

from dataclasses import dataclass, field

Charges = list[tuple[int, int]]
"""(at_ms, events), in the order in which they were admitted."""


def fullest(charges: Charges, window_ms: int) -> int:
    """Events of the fullest half-open window there is, wherever it begins; one that holds nothing needs no look."""
    begins = {begin for at_ms, _ in charges for begin in range(at_ms - window_ms + 1, at_ms + 1)}
    return max(
        (sum(events for at_ms, events in charges if begin <= at_ms < begin + window_ms) for begin in begins), default=0
    )


@dataclass
class Admitted:
    """What was admitted under a limit of so many events."""

    limit: int
    window_ms: int
    charges: Charges = field(default_factory=list)

    def instant(self, now_ms: int) -> int:
        """Where a charge of now is recorded: never before another."""
        return max([now_ms, *(at_ms for at_ms, _ in self.charges)])

    def admits(self, now_ms: int, events: int) -> bool:
        """Whether every window that would hold it still kept the limit."""
        at_ms = self.instant(now_ms)
        near = [charge for charge in self.charges if at_ms - charge[0] < self.window_ms]
        return all(
            events + sum(old for old_ms, old in near if begin <= old_ms < begin + self.window_ms) <= self.limit
            for begin in range(at_ms - self.window_ms + 1, at_ms + 1)
        )

    def wait(self, now_ms: int, events: int) -> int:
        """The least wait until they would be admitted, tried millisecond by millisecond; -1: none would do."""
        horizon = self.instant(now_ms) - now_ms + self.window_ms
        return next((wait for wait in range(horizon + 1) if self.admits(now_ms + wait, events)), -1)

    def charge(self, now_ms: int, events: int) -> tuple[bool, int, int, int]:
        """Charge them if they are admitted: allowed, remaining, retry_after_ms and reset_ms of the verdict."""
        allowed, retry_after_ms = self.admits(now_ms, events), self.wait(now_ms, events)
        if allowed and events:
            self.charges.append((self.instant(now_ms), events))
        remaining = max((room for room in range(1, self.limit + 1) if self.admits(now_ms, room)), default=0)
        return allowed, remaining, retry_after_ms, self.wait(now_ms, self.limit)
