"""Rates over the last few totals."""

from collections import deque

from pipeline.api.documents import Rates

KEPT, OLDEST_SECONDS = 6, 10.0
_SHOWN = [name.removesuffix("_per_second") for name in Rates.model_fields]


class RateOf:
    """Totals with the instants at which they were read, seconds of any monotonic clock."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, dict[str, int]]] = deque(maxlen=KEPT)

    def add(self, at: float, totals: dict[str, int]) -> Rates:
        """The rates up to `at`. The same instant again is no news."""
        if not self._seen or at > self._seen[-1][0]:
            self._seen.append((at, totals))
        while self._seen[0][0] < at - OLDEST_SECONDS and len(self._seen) > 1:
            self._seen.popleft()
        (since, before), (until, now) = self._seen[0], self._seen[-1]
        if until <= since:
            return Rates()
        return Rates(**{f"{name}_per_second": round((now[name] - before[name]) / (until - since), 1) for name in _SHOWN})
