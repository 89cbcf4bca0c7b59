"""A store in memory: what a right pipeline would have written of a log, and ways to damage it."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.outcomes import Outcome
from pipeline.verify.recompute import ABSENT, TICK, Recomputed
from pipeline.verify.tables import BATCHES, COUNTS, DUPLICATES, PLAYS, TOPS, Shape, expected

Damage = Callable[[list[dict[str, Any]]], object]


class StoredRows:
    """Rows by table, as lists of dictionaries that a test may change."""

    def __init__(self, result: Recomputed, batch: int = 3) -> None:
        want = expected(result)
        tables = {PLAYS: want.plays, DUPLICATES: want.duplicates, COUNTS: want.counts, TOPS: want.tops}
        self.tables = {shape.name: table.to_pylist() for shape, table in tables.items()}
        self.tables[BATCHES.name] = _batches(result, batch)

    def rows(self, shape: Shape, first: int = 0, end: int | None = None) -> pa.Table:
        table = pa.Table.from_pylist(self.tables[shape.name], schema=shape.schema)
        if "source_offset" in shape.keys:
            offsets = table["source_offset"]
            table = table.filter(pc.and_(pc.greater_equal(offsets, first), pc.less(offsets, 2**62 if end is None else end)))
        return table.sort_by([(key, "ascending") for key in shape.keys])


def _batches(result: Recomputed, batch: int) -> list[dict[str, Any]]:
    rows = []
    for fold in result.folds:
        for first in range(0, len(fold.kinds), batch):
            kinds = fold.kinds[first : first + batch]
            last = first + len(kinds) - 1
            names = ("accepted", "duplicates", "late", "skipped", "suspect", "invalid")
            counts = {name: kinds.count(outcome) for name, outcome in zip(names, Outcome, strict=True)}
            rows.append(
                {"source_partition": fold.partition, "first_offset": first, "last_offset": last}
                | {"records": sum(counts.values()), "ticks": kinds.count(TICK), "absent": kinds.count(ABSENT)}
                | counts
                | {"watermark": fold.watermarks[last]}
            )
    return rows
