"""Which windows an artist should lead, by the plays that were sent: what `listening top` must show then."""

import numpy as np

from pipeline.rules import Rules
from producers.columns import Array, Columns
from producers.kinds import Kind

MINUTE_MS = 60_000
MOST_COUNTS = 50_000_000
"""Artists times minutes, 4 bytes each: of a larger world nobody is told who should lead."""


class Leading:
    """Counts plays of every artist by minute of the scenario: those that count if all goes well."""

    def __init__(self, artists: int, start: int, end: int, rules: Rules) -> None:
        self._start, self._rules = start // MINUTE_MS * MINUTE_MS, rules
        # Windows end within the scenario.
        self._plays: Array = np.zeros(((end - self._start) // MINUTE_MS, artists + 1), np.int32)

    @staticmethod
    def is_told(artists: int, length_ms: int) -> bool:
        """Whether a world is small enough to be counted."""
        return artists * (length_ms // MINUTE_MS + 1) <= MOST_COUNTS

    def add(self, records: Columns) -> None:
        """Records that were sent."""
        played_at = records["played_at"]
        counts = (records["kind"] == Kind.PLAY) & (records["ms_played"] >= self._rules.min_play_ms)
        counts &= records["true_sent_at"] - played_at <= self._rules.grace_ms
        minute = (played_at - self._start) // MINUTE_MS
        counts &= (minute >= 0) & (minute < len(self._plays))
        np.add.at(self._plays, (minute[counts], records["artist_id"][counts]), 1)

    def windows(self, artist_id: int, window_ms: int) -> tuple[int, int] | None:
        """First and last end (epoch ms, whole minutes) of the longest row of windows that the artist leads alone."""
        length = max(1, window_ms // MINUTE_MS)
        until = np.cumsum(self._plays, axis=0, dtype=np.int32)
        leads = []
        for minute in range(len(until)):
            sums = until[minute] - (until[minute - length] if minute >= length else 0)
            mine = int(sums[artist_id])
            leads.append(mine > 0 and int((sums >= mine).sum()) == 1)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], leads, [False]]).astype(np.int8)))
        if not len(edges):
            return None
        first, past = max(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True), key=lambda run: run[1] - run[0])
        return self._start + (first + 1) * MINUTE_MS, self._start + past * MINUTE_MS
