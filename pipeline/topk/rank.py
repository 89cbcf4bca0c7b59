"""The top k of many: plays descending, then artist_id ascending. A total order, so that there is one right answer."""

import numpy as np

from pipeline.windows.columns import Indices, Longs

_BLOCK = 256


def top_k(artists: Longs, plays: Longs, k: int) -> list[tuple[int, int]]:
    """(artist_id, plays) of the k (1 or more) first; artists without plays are not ranked. O(n + k log k), with any ties."""
    if len(plays) >= _BLOCK * k:
        near = plays >= _at_most_the_kth(plays, k)
        artists, plays = artists[near], plays[near]
    if len(plays) > k:
        first = _first(artists, plays, k)
        artists, plays = artists[first], plays[first]
    order = np.lexsort((artists, -plays))
    return [place for place in zip(artists[order].tolist(), plays[order].tolist(), strict=True) if place[1] > 0]


def _at_most_the_kth(plays: Longs, k: int) -> np.int64:
    """As many as k plays are not below this: the k-th largest of the maxima of blocks, each of which is one of the plays."""
    blocks = len(plays) // _BLOCK
    tops = plays[: blocks * _BLOCK].reshape(blocks, _BLOCK).max(axis=1)
    least: np.int64 = np.partition(tops, blocks - k)[blocks - k]
    return least


def _first(artists: Longs, plays: Longs, k: int) -> Indices:
    """Where the k first are, in no order. More than k artists."""
    least = np.partition(plays, len(plays) - k)[len(plays) - k]
    above, equal = np.flatnonzero(plays > least), np.flatnonzero(plays == least)
    wanted = k - len(above)  # at least one: the k-th itself
    if len(equal) > wanted:
        equal = equal[np.argpartition(artists[equal], wanted - 1)[:wanted]]
    return np.concatenate([above, equal])
