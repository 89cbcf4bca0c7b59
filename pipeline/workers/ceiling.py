"""The ceiling of the dead-letter queue: a bad deploy stops the worker instead of draining a topic into it."""

from collections import Counter, deque

from pipeline.errors import RefusedError


class Ceiling:
    """Of the last `events` records at most `ratio` may be invalid. Raises RefusedError past that, naming the reasons."""

    def __init__(self, ratio: float, events: int) -> None:
        self._ratio, self._events = ratio, events
        self._batches: deque[tuple[int, Counter[str]]] = deque()
        self._total = 0
        self._invalid: Counter[str] = Counter()

    def count(self, valid: int, reasons: list[str]) -> None:
        """Add a batch: how many events were valid, and why each other one was refused."""
        counted = Counter(reasons)
        size = valid + len(reasons)
        self._batches.append((size, counted))
        self._total += size
        self._invalid += counted
        while len(self._batches) > 1 and self._total - self._batches[0][0] >= self._events:
            old_size, old = self._batches.popleft()
            self._total -= old_size
            self._invalid -= old
        invalid = self._invalid.total()
        if self._total >= self._events and invalid > self._ratio * self._total:
            named = ", ".join(f"{reason} {number}" for reason, number in self._invalid.most_common())
            raise RefusedError(
                f"{invalid} of the last {self._total} events are invalid ({named}), more than "
                f"LISTENING_DLQ_CEILING_RATIO={self._ratio} allows: mend the producer or the schema, or raise the ceiling"
            )
