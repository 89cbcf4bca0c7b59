"""Where stored rows come from: the one thing `compare` asks for, and the store's own version of it."""

from collections.abc import Callable
from typing import Protocol

import pyarrow as pa

from pipeline.verify.tables import Shape, normalise


class Rows(Protocol):
    """Stored rows as Arrow, in the shape's types and sorted by its keys."""

    def rows(self, shape: Shape, first: int = 0, end: int | None = None) -> pa.Table:
        """The table's rows; where it has source offsets, only those in [first, end) of every partition (None: no end)."""
        ...


class StoreRows:
    """Rows asked of the store over `/sql`; `ask` is `pipeline.store.ask.sql` with the settings in."""

    def __init__(self, ask: Callable[[str], pa.Table]) -> None:
        self._ask = ask

    def rows(self, shape: Shape, first: int = 0, end: int | None = None) -> pa.Table:
        return normalise(self._ask(query(shape, first, end)), shape)


def query(shape: Shape, first: int = 0, end: int | None = None) -> str:
    """The SELECT for these rows: plain columns and comparisons only, so that no fence of the store is in the way."""
    bounds = []
    if "source_offset" in shape.keys:
        bounds = [f"source_offset >= {first}"] if first else []
        bounds += [] if end is None else [f"source_offset < {end}"]
    where = " WHERE " + " AND ".join(bounds) if bounds else ""
    return f"SELECT {', '.join(shape.columns)} FROM {shape.name} FINAL{where}"
