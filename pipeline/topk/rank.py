"""The top k of many: plays descending, then artist_id ascending. A total order, so that there is one right answer."""

import numpy as np

from pipeline.windows.columns import Indices, Longs


def top_k(artists: Longs, plays: Longs, k: int) -> list[tuple[int, int]]:
    """(artist_id, plays) of the k (1 or more) first; artists without plays are not ranked. O(n + k log k), with any ties."""
    chosen = _first(artists, plays, k) if len(plays) > k else slice(None)
    artists, plays = artists[chosen], plays[chosen]
    order = np.lexsort((artists, -plays))
    return [place for place in zip(artists[order].tolist(), plays[order].tolist(), strict=True) if place[1] > 0]


def _first(artists: Longs, plays: Longs, k: int) -> Indices:
    """Where the k first are, in no order. More than k artists."""
    least = np.partition(plays, len(plays) - k)[len(plays) - k]
    above, equal = np.flatnonzero(plays > least), np.flatnonzero(plays == least)
    wanted = k - len(above)  # at least one: the k-th itself
    if len(equal) > wanted:
        equal = equal[np.argpartition(artists[equal], wanted - 1)[:wanted]]
    return np.concatenate([above, equal])
