"""Merge the counts of all source partitions into a window that slides by one pane.

Full pane counts are kept as long as a window needs them, never a truncated top list: that would be wrong as soon as plays
leave the window.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.topk.panes import Pane, Said, ordered
from pipeline.topk.rank import top_k
from pipeline.windows.columns import Longs, runs, summed
from pipeline.windows.panes import last_final_end, newest_window_end
from pipeline.windows.tally import Tally

_PANES_AT_ONCE = 16
"""So many are put together before they are added to a window, which may be far larger than they are."""


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
        self._last_final = last_final
        # The running sum of [_summed_to - window, _summed_to). It begins empty, before all panes that will be added.
        self._summed_to: int | None = None
        self._sum = Tally()

    @property
    def watermark(self) -> int:
        """The global watermark: a partition that wasn't heard from holds it back at 0."""
        return min(self._watermarks)

    @property
    def counted(self) -> int:
        """Sum over the partitions of the last source offset counted: what orders provisional lists."""
        return sum(self._counted)

    def merge(self, partition: int, panes: Longs, artists: Longs, plays: Longs, versions: Longs) -> None:
        """Take absolute counts, in columns of one length; an older version changes nothing, nor does a pane that no window
        to come holds. The arrays aren't kept."""
        oldest = -(2**62) if self._last_final is None else self._last_final + self._pane_ms - self._window_ms
        panes, told = ordered(panes, Said(artists, plays, versions))
        for pane, rows in runs(panes):
            if pane < oldest:
                continue
            kept = self._panes.get(pane)
            if kept is None:
                kept = self._panes[pane] = Pane()
                insort(self._order, pane)
            kept.put(partition, Said(*(column[rows] for column in told)))

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
        total = self._sum.copy()
        self._move(total, end)
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
        """Move the running sum to the final window that ends at `end`; its panes can't change any more."""
        for pane in self._between(-(2**62) if self._summed_to is None else self._summed_to, end):
            self._panes[pane].settle()
        self._move(self._sum, end)
        self._summed_to = end

    def _move(self, total: Tally, end: int) -> None:
        """Make of the running sum the plays by artist in the window that ends at `end`."""
        begin, before = end - self._window_ms, self._summed_to
        if before is not None:
            self._subtract(total, self._between(-(2**62), min(before, begin)))
        entering = self._between(begin if before is None else max(before, begin), end)
        for at in range(0, len(entering), _PANES_AT_ONCE):
            total.add(*self._together(entering[at : at + _PANES_AT_ONCE]))

    def _subtract(self, total: Tally, panes: list[int]) -> None:
        for pane in panes:
            artists, plays = self._together([pane])
            total.add(artists, -plays)

    def _together(self, panes: list[int]) -> tuple[Longs, Longs]:
        """Artists (ascending) and plays in all of these panes, at least one."""
        return summed([part for pane in panes for part in self._panes[pane].parts()])

    def _drop_before(self, start: int) -> None:
        """Drop panes that no later window needs; what leaves the running sum leaves it here."""
        gone = self._between(-(2**62), start)
        self._subtract(self._sum, gone)
        for pane in gone:
            del self._panes[pane]
        del self._order[: len(gone)]
        self._sum.forget_zeros()  # ids come from outside, and would fill the memory

    def _between(self, start: int, end: int) -> list[int]:
        return self._order[bisect_left(self._order, start) : bisect_left(self._order, end)]

    def _places(self, total: Tally) -> list[tuple[int, int]]:
        return top_k(total.artists, total.plays, self._k)
