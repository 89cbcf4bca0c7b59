"""Rows in columns with the key that they are sorted by. Pure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Longs = npt.NDArray[np.int64]


class Keyed(NamedTuple):
    """`keys`: int64, one a row of `rows`, a pyarrow RecordBatch."""

    keys: Longs
    rows: Any

    def slice(self, start: int, stop: int) -> "Keyed":
        """Rows [start, stop), not copied."""
        return Keyed(self.keys[start:stop], self.rows.slice(start, stop - start))


def sorted_by_key(parts: Sequence[Keyed]) -> Keyed:
    """All rows of the parts (at least one), by key; equal keys in the order of the parts, then of the rows."""
    keys = np.concatenate([part.keys for part in parts])
    rows = parts[0].rows if len(parts) == 1 else pa.concat_batches([part.rows for part in parts])
    if np.all(keys[:-1] <= keys[1:]):
        return Keyed(keys, rows)
    order = np.argsort(keys, kind="stable")
    return Keyed(keys[order], rows.take(pa.array(order)))
