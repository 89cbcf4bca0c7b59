"""Final ranked lists from full pane counts: windows that slide by a pane, ranked anew at each step."""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple


class FinalList(NamedTuple):
    """The ranked list of [window_end - window_ms, window_end) in one shard: (artist_id, plays), best first."""

    window_end: int
    shard: int
    ranked: list[tuple[int, int]]


def ranked(plays: Mapping[int, int], k: int) -> list[tuple[int, int]]:
    """The first k of artist_id → plays: plays descending, then artist_id ascending."""
    # Whoever has fewer plays than the k-th largest number can't be among the first k; ties are all kept, and sorted.
    least = heapq.nlargest(k, plays.values())[-1] if len(plays) > k else 0
    order = sorted((-number, artist) for artist, number in plays.items() if number >= least)
    return [(artist, -number) for number, artist in order[:k]]


def final_lists(
    panes: Mapping[int, Counter[int]], *, due: int, pane_ms: int, window_ms: int, k: int, shards: int
) -> Iterator[FinalList]:
    """Every list of a window that ends at or before `due` and holds a play, by window end, then shard.

    `panes`: pane start → artist_id → accepted plays of all partitions. A shard without a play in the window has none.
    """
    starts = sorted(panes)
    totals: list[Counter[int]] = [Counter() for _ in range(shards)]
    entered = left = 0
    end = starts[0] + pane_ms if starts else due + 1
    while end <= due:
        while entered < len(starts) and starts[entered] < end:
            for artist, plays in panes[starts[entered]].items():
                totals[artist % shards][artist] += plays
            entered += 1
        while left < entered and starts[left] < end - window_ms:
            for artist, plays in panes[starts[left]].items():
                totals[artist % shards][artist] -= plays
                if not totals[artist % shards][artist]:
                    del totals[artist % shards][artist]
            left += 1
        if left < entered:
            for shard, plays_of in enumerate(totals):
                if plays_of:
                    yield FinalList(end, shard, ranked(plays_of, k))
            end += pane_ms
        elif entered < len(starts):
            end = starts[entered] + pane_ms  # nothing was played for a whole window: on to the next play
        else:
            return
