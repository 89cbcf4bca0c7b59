"""Merge the counts of all source partitions into a window that slides by one pane.

Full pane counts are kept as long as a window needs them, never a truncated top list: that would be wrong as soon as plays
leave the window.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.topk.rank import Longs, top_k
from pipeline.windows.panes import last_final_end, newest_window_end


@dataclass(frozen=True, slots=True)
class Ranked:
    """The ranked list of the window that ends at `window_end` (epoch ms): (artist_id, plays), best first."""

    window_end: int
    final: bool
    places: list[tuple[int, int]]


class SlidingTop:
    """One shard's panes and its sliding window. `last_final`: end of the last window given out as final, or None."""

    def __init__(
        self, partitions: int, pane_ms: int, window_ms: int, grace_ms: int, k: int, last_final: int | None = None
    ) -> None:
        self._pane_ms, self._window_ms, self._grace_ms, self._k = pane_ms, window_ms, grace_ms, k
        self._watermarks = [0] * partitions
        self._counted = [-1] * partitions
        self._panes: dict[int, _Pane] = {}
        self._order: list[int] = []  # pane starts, ascending
        self._artists = _Artists()
        self._last_final = last_final
        # The running sum of [_summed_to - window, _summed_to). It begins empty, before all panes that will be added.
        self._summed_to: int | None = None
        self._sum = np.zeros(0, np.int64)

    @property
    def watermark(self) -> int:
        """The global watermark: a partition that wasn't heard from holds it back at 0."""
        return min(self._watermarks)

    @property
    def counted(self) -> int:
        """Sum over the partitions of the last source offset counted: what orders provisional lists."""
        return sum(self._counted)

    def merge(self, partition: int, rows: Iterable[tuple[int, int, int, int]]) -> None:
        """Take absolute counts (pane, artist, plays, version); an older version changes nothing, nor does a pane that no
        window to come holds."""
        oldest = -(2**62) if self._last_final is None else self._last_final + self._pane_ms - self._window_ms
        for pane, artist, plays, version in rows:
            if pane < oldest:
                continue
            kept = self._panes.get(pane)
            if kept is None:
                kept = self._panes[pane] = _Pane()
                insort(self._order, pane)
            kept.put(partition, self._artists.index(artist), plays, version)

    def advance(self, partition: int, watermark: int, counted: int) -> None:
        """An announcement of this partition is complete."""
        if counted >= self._counted[partition]:
            self._counted[partition] = counted
            self._watermarks[partition] = max(self._watermarks[partition], watermark)

    def finals(self) -> Iterator[Ranked]:
        """The windows that became final since the last call, in order; those without a play are passed over."""
        limit = last_final_end(self.watermark, self._grace_ms, self._pane_ms)
        while self._order:
            end = self._next_end()
            if end > limit:
                break
            self._slide(end)
            self._last_final = end
            yield Ranked(end, True, self._places(self._sum))
            self._drop_before(end + self._pane_ms - self._window_ms)

    def provisional(self) -> Ranked | None:
        """The newest window as it stands, or None where it holds nothing or is final already."""
        end = newest_window_end(self.watermark, self._pane_ms)
        if self.watermark == 0 or (self._last_final is not None and end <= self._last_final):
            return None
        total = np.zeros(len(self._artists), np.int64)
        for pane in self._between(end - self._window_ms, end):
            self._panes[pane].add_to(total, 1)
        places = self._places(total)
        return Ranked(end, False, places) if places else None

    def _next_end(self) -> int:
        """End of the next window that holds a play."""
        first = self._order[0] + self._pane_ms
        if self._last_final is None:
            return first
        following = self._last_final + self._pane_ms
        inside = self._between(following - self._window_ms, following)
        if inside:
            return following
        later = bisect_left(self._order, following)
        return self._order[later] + self._pane_ms if later < len(self._order) else 2**62

    def _slide(self, end: int) -> None:
        """Move the running sum to the window that ends at `end`."""
        total = _grown(self._sum, len(self._artists))
        before = self._summed_to
        entering_from = end - self._window_ms if before is None else max(before, end - self._window_ms)
        if before is not None:
            for pane in self._between(before - self._window_ms, min(before, end - self._window_ms)):
                self._panes[pane].add_to(total, -1)
        for pane in self._between(entering_from, end):
            self._panes[pane].add_to(total, 1)
        self._sum, self._summed_to = total, end

    def _drop_before(self, start: int) -> None:
        """Drop panes that no later window needs; what leaves the running sum leaves it here."""
        gone = self._between(-(2**62), start)
        if not gone:
            return
        for pane in gone:
            self._panes.pop(pane).add_to(self._sum, -1)
        del self._order[: len(gone)]

    def _between(self, start: int, end: int) -> list[int]:
        return self._order[bisect_left(self._order, start) : bisect_left(self._order, end)]

    def _places(self, total: Longs) -> list[tuple[int, int]]:
        return top_k(self._artists.ids(len(total)), total, self._k)


class _Artists:
    """Artist ids as dense indices."""

    def __init__(self) -> None:
        self._index: dict[int, int] = {}
        self._ids = np.zeros(1024, np.int64)

    def __len__(self) -> int:
        return len(self._index)

    def index(self, artist: int) -> int:
        found = self._index.get(artist)
        if found is None:
            found = self._index[artist] = len(self._index)
            if found == len(self._ids):
                self._ids = _grown(self._ids, 2 * found)
            self._ids[found] = artist
        return found

    def ids(self, count: int) -> Longs:
        return self._ids[:count]


class _Pane:
    """Plays of one pane: per artist the sum over source partitions, and what each partition said last."""

    __slots__ = ("_said", "_total")

    def __init__(self) -> None:
        self._said: dict[tuple[int, int], tuple[int, int]] = {}
        self._total: dict[int, int] = {}

    def put(self, partition: int, artist: int, plays: int, version: int) -> None:
        before, known = self._said.get((partition, artist), (0, -1))
        if version > known:
            self._said[partition, artist] = (plays, version)
            self._total[artist] = self._total.get(artist, 0) + plays - before

    def add_to(self, total: Longs, sign: int) -> None:
        """Add (or subtract) this pane's plays to sums by artist index."""
        count = len(self._total)
        artists = np.fromiter(self._total.keys(), np.intp, count)
        total[artists] += sign * np.fromiter(self._total.values(), np.int64, count)


def _grown(array: Longs, length: int) -> Longs:
    grown = np.zeros(max(length, len(array)), np.int64)
    grown[: len(array)] = array
    return grown
