"""Rows as columns: equally long numpy arrays by name. Dimension 0 is the row."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Columns: TypeAlias = dict[str, Array]


def height(columns: Columns) -> int:
    """The number of rows."""
    return len(next(iter(columns.values())))


def take(columns: Columns, rows: Array | slice) -> Columns:
    """The rows at these indices, or where this mask is true: copies. Of a slice the very rows, not copied."""
    if isinstance(rows, slice):
        return {name: values[rows] for name, values in columns.items()}
    # A mask is counted out once, not once a column; take() copies several times as fast as indexing does.
    rows = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
    return {name: values.take(rows, axis=0) for name, values in columns.items()}


def join(parts: Sequence[Columns]) -> Columns:
    """All rows of the parts, in their order. There is at least one part, and all have the same columns."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
