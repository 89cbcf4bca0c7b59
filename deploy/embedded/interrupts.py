"""SIGINT, SIGTERM and SIGHUP as one KeyboardInterrupt, so that `finally` stops what was started."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Whether a signal still interrupts: the first one does, none does once the stopping began (it is bounded anyway)."""

    def __init__(self) -> None:
        self._held = False

    def hold(self) -> None:
        self._held = True

    def handle(self, *_: Any) -> None:
        if not self._held:
            self._held = True
            raise KeyboardInterrupt


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Turn the signals into KeyboardInterrupt inside the block (in the main thread; elsewhere Python allows no handlers)."""
    state = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield state
        return
    previous = {number: signal.signal(number, state.handle) for number in SIGNALS}
    try:
        yield state
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
