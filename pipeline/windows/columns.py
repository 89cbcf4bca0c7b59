"""Sorted columns: found in, put together, cut into runs, without a Python object a row."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Longs = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]


def firsts(*columns: Longs) -> Flags:
    """Which rows differ from the row before in any of the columns (at least one)."""
    new = np.ones(len(columns[0]), np.bool_)
    new[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return new


def runs(column: Longs) -> Iterator[tuple[int, slice]]:
    """Each stretch of equal values: the value and its rows."""
    starts = np.flatnonzero(firsts(column))
    edges = [*starts.tolist(), len(column)]
    for value, (start, end) in zip(column[starts].tolist(), pairwise(edges), strict=True):
        yield value, slice(start, end)


def located(kept: Longs, wanted: Longs) -> tuple[Indices, Flags]:
    """Where each of `wanted` is in `kept` (each once) or would have to be put in, and whether it is there. Both ascend."""
    at = np.searchsorted(kept, wanted)
    if not len(kept):
        return at, np.zeros(len(wanted), np.bool_)
    return at, kept[np.minimum(at, len(kept) - 1)] == wanted


def inserted(kept: Sequence[Longs], at: Indices, new: Sequence[Longs]) -> list[Longs]:
    """New columns that hold also the rows `new`, put in before the places `at` (ascending)."""
    places = at + np.arange(len(at))
    old = np.ones(len(kept[0]) + len(at), np.bool_)
    old[places] = False
    wide = [np.empty(len(old), np.int64) for _ in kept]
    for column, before, more in zip(wide, kept, new, strict=True):
        column[old], column[places] = before, more
    return wide


def summed(parts: Sequence[tuple[Longs, Longs]]) -> tuple[Longs, Longs]:
    """Sums of plays by artist. `parts`: at least one, each artists (ascending, each once) and plays, as is the answer."""
    if len(parts) == 1:
        return parts[0]
    artists, plays = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(artists, kind="stable")  # timsort: it merges the ascending stretches that it finds
    artists = artists[order]
    starts = np.flatnonzero(firsts(artists))
    return artists[starts], np.add.reduceat(plays[order], starts) if len(starts) else plays
