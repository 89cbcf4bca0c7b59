"""Rows that wait to be inserted together, and the positions to commit once they are."""

from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.store.records import Rows
from pipeline.store.tables import ORDER

MOST_ROWS = 65_536
"""An insert costs 20 ms however few its rows are, and each further 65,536 rows cost 50 MB."""
LONGEST_SECONDS = 0.25


@dataclass
class Pending:
    """Filled record by record, emptied by one insert a table. Times in seconds of any monotonic clock."""

    tables: dict[str, list[pa.Table]] = field(default_factory=dict)
    positions: dict[int, int] = field(default_factory=dict)
    """Partition → offset of the next record to read."""
    rows: int = 0
    since: float | None = None

    def add(self, partition: int, next_offset: int, rows: Rows, now: float) -> None:
        for table, part in rows:
            self.tables.setdefault(table, []).append(part)
            self.rows += part.num_rows
        self.positions[partition] = next_offset
        if self.since is None:
            self.since = now

    def due_in(self, now: float) -> float | None:
        """Seconds until the rows should be inserted, None while there are none."""
        if self.since is None:
            return None
        return 0.0 if self.rows >= MOST_ROWS else max(0.0, self.since + LONGEST_SECONDS - now)

    def inserts(self) -> list[tuple[str, pa.Table]]:
        """One insert a table, in the order that keeps `batches` and `count_positions` true at every instant."""
        return [(table, pa.concat_tables(self.tables[table])) for table in ORDER if table in self.tables]
