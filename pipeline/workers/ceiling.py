"""The ceiling of the dead-letter queue: a bad deploy stops the worker instead of draining a topic into it."""

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.codec.records import Refused
from pipeline.errors import RefusedError


class Ceiling:
    """Of a partition's last `events` records at most `ratio` may be invalid, and at most `consecutive` of them in a row."""

    def __init__(self, ratio: float, events: int, consecutive: int) -> None:
        self._ratio, self._events, self._consecutive = ratio, events, consecutive
        self._batches: deque[tuple[int, Counter[str]]] = deque()
        self._total = 0
        self._invalid: Counter[str] = Counter()
        self._row = 0

    def count(self, valid: npt.NDArray[Any], refused: Sequence[Refused]) -> None:
        """Add a batch before anything of it is written: the offsets of its valid events, and the refused ones, in order.

        Raises RefusedError past the ceiling, naming reasons and remedy.
        """
        self._count_in_a_row(valid, refused)
        counted = Counter(entry.reason for entry in refused)
        size = len(valid) + len(refused)
        self._batches.append((size, counted))
        self._total += size
        self._invalid += counted
        while len(self._batches) > 1 and self._total - self._batches[0][0] >= self._events:
            old_size, old = self._batches.popleft()
            self._total -= old_size
            self._invalid -= old
        invalid = self._invalid.total()
        if self._total >= self._events and invalid > self._ratio * self._total:
            raise _stopped(
                f"{invalid} of the last {self._total} events are invalid",
                self._invalid,
                f"LISTENING_DLQ_CEILING_RATIO={self._ratio}",
            )

    def _count_in_a_row(self, valid: npt.NDArray[Any], refused: Sequence[Refused]) -> None:
        # How many valid events lie before each refused one: in a row are those with the same number.
        before = np.searchsorted(valid, np.array([entry.offset for entry in refused], np.int64))
        numbers, starts, lengths = np.unique(before, return_index=True, return_counts=True)
        for number, start, length in zip(numbers.tolist(), starts.tolist(), lengths.tolist(), strict=True):
            row = length + (self._row if number == 0 else 0)
            if row > self._consecutive:
                some = refused[start : start + length]
                raise _stopped(
                    f"{row} events in a row are invalid, up to offset {some[-1].offset}",
                    Counter(entry.reason for entry in some),
                    f"LISTENING_DLQ_CEILING_CONSECUTIVE={self._consecutive}",
                )
        at_end = int(lengths[-1]) if len(numbers) and numbers[-1] == len(valid) else 0
        self._row = at_end + (self._row if not len(valid) else 0)


def _stopped(what: str, reasons: Counter[str], setting: str) -> RefusedError:
    named = ", ".join(f"{reason} {number}" for reason, number in reasons.most_common())
    schema = "add the schema (`listening schemas add`), or " if "unknown_schema" in reasons else ""
    return RefusedError(
        f"{what} ({named}), more than {setting} allows; nothing of them is written or committed: mend the producer, then "
        f"{schema}raise the setting to let them pass into the dead-letter queue (`listening dlq`), and start again"
    )
