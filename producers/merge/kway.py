"""Merge sorted sequences of batches by safe horizons: no object a row, one batch of each in memory. Pure.

file 0  ──────[ 1  3  4 ]─ ? …      the horizon is the smallest (last key, file) of the batches: (4, file 0);
file 1  ──────[ 2  4  9 ]─ ? …      nothing that is still to come lies before it, so 1 2 3 4 go out,
file 2  ──────[ 4  5  6 ]─ ? …      and the 4s of files 1 and 2 wait, since file 0 may have more of them
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from producers.merge.keyed import Keyed, sorted_by_key


class _Source:
    """What is left of one file: the batch at hand and the batches to come."""

    def __init__(self, batches: Iterable[Keyed]) -> None:
        self._batches = iter(batches)
        self._at_hand: Keyed | None = None

    def fill(self) -> bool:
        """Whether there are rows at hand, if need be after taking the next batch that isn't empty."""
        while self._at_hand is None or not len(self._at_hand.keys):
            self._at_hand = next(self._batches, None)
            if self._at_hand is None:
                return False
        return True

    @property
    def last_key(self) -> int:
        return int(self._rows.keys[-1])

    def take(self, horizon: int, *, inclusive: bool) -> Keyed:
        """Take the rows before the horizon, or up to it, off the batch at hand."""
        rows = self._rows
        end = int(np.searchsorted(rows.keys, horizon, side="right" if inclusive else "left"))
        self._at_hand = rows.slice(end, len(rows.keys))
        return rows.slice(0, end)

    @property
    def _rows(self) -> Keyed:
        assert self._at_hand is not None
        return self._at_hand


def merged(files: Sequence[Iterable[Keyed]]) -> Iterator[Keyed]:
    """All rows by key; equal keys in the order of the files, then of the rows. No batch that comes out is empty.

    `files`: batches of any size whose keys never go back within a file. Each step empties at least one batch, also where all
    keys are equal.
    """
    sources = [source for source in map(_Source, files) if source.fill()]
    while sources:
        last_keys = [source.last_key for source in sources]
        horizon = min(last_keys)
        first = last_keys.index(horizon)
        taken = [source.take(horizon, inclusive=number <= first) for number, source in enumerate(sources)]
        yield sorted_by_key([part for part in taken if len(part.keys)])
        sources = [source for source in sources if source.fill()]
