"""The top k of many: plays descending, then artist_id ascending. A total order, so that there is one right answer."""

import numpy as np
import numpy.typing as npt

Longs = npt.NDArray[np.int64]


def top_k(artists: Longs, plays: Longs, k: int) -> list[tuple[int, int]]:
    """(artist_id, plays) of the k first; artists without plays are not ranked. O(n + k log k) but for ties at the end."""
    played = plays > 0
    artists, plays = artists[played], plays[played]
    if len(plays) > k:
        least = np.partition(plays, len(plays) - k)[len(plays) - k]
        chosen = plays >= least
        artists, plays = artists[chosen], plays[chosen]
    order = np.lexsort((artists, -plays))[:k]
    return list(zip(artists[order].tolist(), plays[order].tolist(), strict=True))
