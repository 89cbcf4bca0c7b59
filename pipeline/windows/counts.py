"""Absolute counts of accepted plays per pane and artist, of one source partition."""

from typing import NamedTuple

import numpy as np

from pipeline.rules import Rules
from pipeline.windows.columns import Longs, firsts, runs
from pipeline.windows.panes import pane_of
from pipeline.windows.tally import Tally


class Changed(NamedTuple):
    """Columns: pane starts (epoch ms), artists, plays; ordered by pane and artist, each pair once."""

    panes: Longs
    artists: Longs
    plays: Longs


class PaneCounts:
    """Only panes that can still change are kept: those from watermark - grace on."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._panes: dict[int, Tally] = {}

    def add(self, event_times: Longs, artists: Longs) -> Changed:
        """Count accepted plays; of what changed, the plays so far."""
        panes, artists, plays = _grouped(event_times // self._rules.pane_ms, artists)
        panes *= self._rules.pane_ms
        for pane, rows in runs(panes):
            plays[rows] = self._panes.setdefault(pane, Tally()).add(artists[rows], plays[rows])
        return Changed(panes, artists, plays)

    def drop_settled(self, watermark: int) -> None:
        """Drop panes that no later event can be accepted into."""
        oldest = pane_of(watermark - self._rules.grace_ms, self._rules.pane_ms)
        for pane in [pane for pane in self._panes if pane < oldest]:
            del self._panes[pane]


def panes_since(watermark: int, rules: Rules) -> int:
    """From which watermark on (epoch ms) records hold plays of panes that can still change at `watermark`."""
    return watermark - rules.grace_ms - rules.pane_ms


def _grouped(panes: Longs, artists: Longs) -> Changed:
    """How often each pair of pane (here its number) and artist occurs."""
    if not len(panes):
        return Changed(panes, artists, np.zeros(0, np.int64))
    first_pane, first_artist = int(panes.min()), int(artists.min())
    span = int(artists.max()) - first_artist + 1
    if (int(panes.max()) - first_pane + 1) * span >= 2**63:
        return _grouped_by_pairs(panes, artists)
    # One number a pair: sorting values is twice as fast as finding the order of two columns.
    pairs, plays = np.unique((panes - first_pane) * span + (artists - first_artist), return_counts=True)
    panes, artists = np.divmod(pairs, span)
    return Changed(panes + first_pane, artists + first_artist, plays)


def _grouped_by_pairs(panes: Longs, artists: Longs) -> Changed:
    """The same for artists so far apart that a pair fits in no 64 bits."""
    order = np.lexsort((artists, panes))
    panes, artists = panes[order], artists[order]
    starts = np.flatnonzero(firsts(panes, artists))
    return Changed(panes[starts], artists[starts], np.diff(starts, append=len(panes)))
