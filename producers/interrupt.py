"""Ctrl-C, taken at points of our own choosing.

confluent-kafka's calls turn an interruption that meets them into a SystemError, and one between a call and its bookkeeping
would lose a record from the ledger. So the signal is noted, and `check` raises at safe points.
"""

import signal
from types import FrameType, TracebackType
from typing import Any


class Interrupt:
    """While entered, a first SIGINT is noted; a second one interrupts wherever it meets the process, as ever.

    Does nothing outside the main thread, where signals don't arrive, nor where SIGINT is ignored.
    """

    def __init__(self) -> None:
        self._noted = False
        self._before: Any = None

    def check(self) -> None:
        """Raises KeyboardInterrupt, once, for a noted Ctrl-C."""
        if self._noted:
            self._noted = False
            raise KeyboardInterrupt

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._noted = True
        self._restore()

    def _restore(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def __enter__(self) -> "Interrupt":
        try:
            if callable(signal.getsignal(signal.SIGINT)):
                self._before = signal.signal(signal.SIGINT, self._note)
        except ValueError:
            self._before = None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()
