"""Absolute counts of accepted plays per pane and artist, of one source partition."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from pipeline.rules import Rules
from pipeline.windows.panes import pane_of

Longs = npt.NDArray[np.int64]


class PaneCounts:
    """Only panes that can still change are kept: those from watermark - grace on."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._panes: dict[int, dict[int, int]] = {}

    def add(self, event_times: Longs, artists: Longs) -> set[tuple[int, int]]:
        """Count accepted plays; the (pane, artist) pairs that changed."""
        changed = set()
        pane_starts = event_times // self._rules.pane_ms * self._rules.pane_ms
        for pane, artist, plays in _grouped(pane_starts, artists):
            counts = self._panes.setdefault(pane, {})
            counts[artist] = counts.get(artist, 0) + plays
            changed.add((pane, artist))
        return changed

    def rows(self, changed: Iterable[tuple[int, int]]) -> list[tuple[int, int, int]]:
        """(pane, artist, plays so far), ordered by pane and artist."""
        return [(pane, artist, self._panes[pane][artist]) for pane, artist in sorted(changed)]

    def drop_settled(self, watermark: int) -> None:
        """Drop panes that no later event can be accepted into. Call it after `rows`."""
        oldest = pane_of(watermark - self._rules.grace_ms, self._rules.pane_ms)
        for pane in [pane for pane in self._panes if pane < oldest]:
            del self._panes[pane]


def panes_since(watermark: int, rules: Rules) -> int:
    """From which watermark on (epoch ms) records hold plays of panes that can still change at `watermark`."""
    return watermark - rules.grace_ms - rules.pane_ms


def _grouped(panes: Longs, artists: Longs) -> Iterable[tuple[int, int, int]]:
    """(pane, artist, how many) of the pairs that occur."""
    if not len(panes):
        return ()
    order = np.lexsort((artists, panes))
    panes, artists = panes[order], artists[order]
    new = np.ones(len(panes), np.bool_)
    new[1:] = (panes[1:] != panes[:-1]) | (artists[1:] != artists[:-1])
    first = np.flatnonzero(new)
    plays = np.diff(np.append(first, len(panes)))
    return zip(panes[first].tolist(), artists[first].tolist(), plays.tolist(), strict=True)
