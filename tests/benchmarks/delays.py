"""How long each event took to be seen: from what a watcher saw, look by look. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.int64]
EDGES = (100, 200, 300, 400, 500, 600, 800, 1000, 1500, 2000, 3000, 5000, 10_000)
"""Upper bounds of the histogram's bars, milliseconds."""
PERCENTILES = {"p50": 50, "p90": 90, "p99": 99, "max": 100}


def delays(offsets: Array, dates: Array, looks: Array, reached: Array) -> Array:
    """Milliseconds from an event's date to the first look that saw its offset. `dates` and `looks` are epoch ms, `reached`
    the last offset that each look saw (-1: none). Raises ValueError where an event was never seen."""
    so_far = np.maximum.accumulate(reached) if len(reached) else reached
    first = np.searchsorted(so_far, offsets, side="left")
    if (first == len(looks)).any():
        raise ValueError(f"no look saw offset {int(offsets[first == len(looks)][0])}")
    found: Array = looks[first] - dates
    return found


def percentiles(found: Array) -> dict[str, int]:
    """Milliseconds that so many percent of the delays don't exceed (nearest rank)."""
    ranked = np.sort(found)
    places = {name: max(0, -(-len(ranked) * percent // 100) - 1) for name, percent in PERCENTILES.items()}
    return {name: int(ranked[place]) for name, place in places.items()}


def histogram(found: Array, edges: Sequence[int] = EDGES) -> list[list[object]]:
    """[[label, number], …]: of the delays below each edge and not below the one before; the last bar holds the rest."""
    counts = np.bincount(np.searchsorted(edges, found, side="right"), minlength=len(edges) + 1).tolist()
    labels = [f"< {edge / 1000:g} s" for edge in edges] + ["more"]
    last = max((place for place, count in enumerate(counts) if count), default=-1)
    return [[label, count] for label, count in list(zip(labels, counts, strict=True))[: last + 1]]
