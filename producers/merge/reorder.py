"""Rows that are out of order by no more than a bound, put in order; the first that is further out is named. Pure.

A row may lie no further than `bound` behind the largest key before it. So nothing that comes can lie before that key less
the bound, and rows up to there may go.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from producers.merge.keyed import Keyed, sorted_by_key

_LEAST = int(np.iinfo(np.int64).min)


class OutOfOrderError(ValueError):
    """`row` (from 0) has a key that is `behind` units behind a row before it, which is more than the bound."""

    def __init__(self, row: int, behind: int) -> None:
        super().__init__(f"row {row} is {behind} behind a row before it")
        self.row, self.behind = row, behind


def in_order(batches: Iterable[Keyed], bound: int = 0) -> Iterator[Keyed]:
    """The rows by key, equal keys in the order that they came in. Holds the rows within `bound` of the largest key so far,
    and as many that came since. Raises OutOfOrderError, as soon as the row's batch is there."""
    highest, row = _LEAST, 0
    held: list[
        Keyed
    ] = []  # the first is in order and stays until as many rows came after it: each is moved a few times only
    waiting = 0
    for batch in batches:
        if not len(batch.keys):
            continue
        before = np.maximum.accumulate(np.concatenate([[highest], batch.keys]))
        behind = np.flatnonzero(batch.keys < _less(before[:-1], bound))
        if len(behind):
            first = int(behind[0])
            raise OutOfOrderError(row + first, int(before[first]) - int(batch.keys[first]))
        highest, row = int(before[-1]), row + len(batch.keys)
        held.append(batch)
        waiting += len(batch.keys)
        if waiting < len(held[0].keys):
            continue
        ordered = sorted_by_key(held)
        safe = int(np.searchsorted(ordered.keys, _less(before[-1:], bound)[0], side="right"))
        if safe:
            yield ordered.slice(0, safe)
        held = [ordered.slice(safe, len(ordered.keys))] if safe < len(ordered.keys) else []
        waiting = 0
    if held:
        yield sorted_by_key(held)


def _less(keys: "np.typing.NDArray[np.int64]", bound: int) -> "np.typing.NDArray[np.int64]":
    """keys - bound, or the least number there is."""
    return np.maximum(keys, _LEAST + bound) - bound
