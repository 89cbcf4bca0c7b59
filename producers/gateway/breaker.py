"""A circuit breaker: while Kafka takes nothing, calls are refused at once, and one at a time finds out whether that is over.

closed ─(so many failures in a row)─► open ─(a while later, one probe)─► half open ─(it succeeds)─► closed
                                        ▲────────(it fails: twice the while, up to a bound)────┘
Pure: every method is told the time, in seconds of any clock that doesn't go back. After Nygard, Release It!
"""

from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class Policy:
    """Failures in a row that open it; how long it stays open at first, and at most, in seconds."""

    failures: int = 5
    open_seconds: float = 1.0
    most_seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.failures < 1 or not 0 < self.open_seconds <= self.most_seconds:
            raise ValueError("a breaker opens after one failure at least, and for some time")


@dataclass(frozen=True, slots=True)
class Ticket:
    """What `admit` says. `wait_seconds`: 0 where the call may go on, else after how long another try is worth it."""

    wait_seconds: float = 0.0
    is_probe: bool = False


class Breaker:
    """Every call that is let in gives its ticket back by exactly one of `succeeded`, `failed` and `dropped`."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._failures = 0
        self._opened_at: float | None = None
        self._open_seconds = policy.open_seconds
        self._probing = False

    @property
    def state(self) -> State:
        if self._opened_at is None:
            return "closed"
        return "half_open" if self._probing else "open"

    @property
    def failures(self) -> int:
        """In a row, so far."""
        return self._failures

    def wait(self, now: float) -> float:
        """Seconds until a call would be let in; 0: it would be now. Lets nobody in."""
        if self._opened_at is None:
            return 0.0
        left = self._opened_at + self._open_seconds - now
        return left if left > 0 else self._policy.open_seconds * self._probing

    def admit(self, now: float) -> Ticket:
        if wait := self.wait(now):
            return Ticket(wait)
        self._probing = self._opened_at is not None
        return Ticket(is_probe=self._probing)

    def succeeded(self) -> None:
        """Kafka acknowledged. A call from before it opened shows as much as a probe."""
        self._failures, self._opened_at, self._probing = 0, None, False
        self._open_seconds = self._policy.open_seconds

    def failed(self, ticket: Ticket, now: float) -> None:
        self._failures += 1
        if self._opened_at is None:
            if self._failures >= self._policy.failures:
                self._opened_at = now
        elif ticket.is_probe:
            self._opened_at, self._probing = now, False
            self._open_seconds = min(2 * self._open_seconds, self._policy.most_seconds)

    def dropped(self, ticket: Ticket) -> None:
        """The call never came to Kafka: the next one may probe in its place."""
        if ticket.is_probe:
            self._probing = False
