"""Merge the counts of all source partitions into a window that slides by one pane.

Full pane counts are kept as long as a window needs them, never a truncated top list: that would be wrong as soon as plays
leave the window.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.topk.panes import Artists, Pane, grown
from pipeline.topk.rank import Longs, top_k
from pipeline.windows.panes import last_final_end, newest_window_end

_FEWEST_ARTISTS = 50_000
"""Up to so many artists are kept, whether a pane holds them or not."""


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
        self._panes: dict[int, Pane] = {}
        self._order: list[int] = []  # pane starts, ascending
        self._artists = Artists()
        self._renumber_at = _FEWEST_ARTISTS
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
                kept = self._panes[pane] = Pane()
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
        places = self._places(self._sum_to(end))
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
        """Move the running sum to the final window that ends at `end`; its panes can't change any more."""
        self._sum, since, self._summed_to = self._sum_to(end), self._summed_to, end
        for pane in self._between(-(2**62) if since is None else since, end):
            self._panes[pane].settle()

    def _sum_to(self, end: int) -> Longs:
        """Plays by artist in the window that ends at `end`, from the running sum: a copy."""
        total, begin, before = grown(self._sum, len(self._artists)), end - self._window_ms, self._summed_to
        if before is not None:
            for pane in self._between(-(2**62), min(before, begin)):
                self._panes[pane].add_to(total, -1)
        for pane in self._between(begin if before is None else max(before, begin), end):
            self._panes[pane].add_to(total, 1)
        return total

    def _drop_before(self, start: int) -> None:
        """Drop panes that no later window needs; what leaves the running sum leaves it here."""
        gone = self._between(-(2**62), start)
        if not gone:
            return
        for pane in gone:
            self._panes.pop(pane).add_to(self._sum, -1)
        del self._order[: len(gone)]
        if len(self._artists) > self._renumber_at:
            self._renumber()

    def _renumber(self) -> None:
        """Forget artists that no pane holds: ids come from outside, and would fill the memory."""
        live = np.zeros(len(self._artists), np.bool_)
        for pane in self._panes.values():
            live[pane.artists()] = True
        new = np.cumsum(live) - 1
        self._sum = grown(self._sum, len(live))[: len(live)][live]
        self._artists = self._artists.only(live)
        for pane in self._panes.values():
            pane.renumber(new)
        self._renumber_at = max(_FEWEST_ARTISTS, 2 * len(self._artists))

    def _between(self, start: int, end: int) -> list[int]:
        return self._order[bisect_left(self._order, start) : bisect_left(self._order, end)]

    def _places(self, total: Longs) -> list[tuple[int, int]]:
        return top_k(self._artists.ids(len(total)), total, self._k)
