"""Waiting for ClickHouse: tried again with backoff, said once."""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import structlog
import tenacity

from pipeline.errors import UnavailableError
from pipeline.store.refusals import NotNowError

T = TypeVar("T")
BACKOFF = tenacity.wait_exponential(multiplier=0.1, max=4.0) + tenacity.wait_random(0, 1.0)
"""0.1 s, doubled to 4 s, and up to 1 s more, so that those who wait don't come all at once."""
log = structlog.get_logger()


def patiently(ask: Callable[[], T], *, stop: threading.Event, idle: Callable[[float], Any], say: Callable[[str], None]) -> T:
    """The answer, asked for again until it isn't NotNowError any more. `idle` waits for seconds, `say` hears why.

    Raises UnavailableError once `stop` is set, and whatever else `ask` raises.
    """

    def ended(_: tenacity.RetryCallState) -> T:
        raise UnavailableError("asked to stop while ClickHouse could not be used")

    def tell(state: tenacity.RetryCallState) -> None:
        say(str(state.outcome.exception() if state.outcome else ""))

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(NotNowError),
        stop=tenacity.stop_when_event_set(stop),
        wait=BACKOFF,
        sleep=idle,
        before_sleep=tell,
        retry_error_callback=ended,
    )(ask)


class Troubles:
    """Who waits, and why, for the log: one line for a reason, however many wait for it, and one when all go on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[str] = set()
        self._said: set[str] = set()
        self._since = 0.0

    def begin(self, who: str, reason: str) -> None:
        with self._lock:
            if not self._waiting:
                self._since = time.monotonic()
            self._waiting.add(who)
            if reason not in self._said:
                self._said.add(reason)
                log.warning("the store has to wait, and tries again", who=who, reason=reason)

    def end(self, who: str) -> None:
        with self._lock:
            if who not in self._waiting:
                return
            self._waiting.remove(who)
            if not self._waiting:
                self._said.clear()
                log.info("the store goes on", waited_seconds=round(time.monotonic() - self._since, 1))
