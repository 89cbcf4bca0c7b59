"""Which layer stops which copies: the producer's idempotence, classify, ClickHouse's merges, and the query."""

from dataclasses import dataclass

from pipeline.settings import Settings
from pipeline.store.ask import ready, rows

UPSERTED = ("plays", "duplicates", "batches", "artist_counts", "top_artists")


@dataclass(frozen=True, slots=True)
class Upserts:
    """Rows of a table. `written`: inserted since the store was started; `held`: in its parts now; `distinct`: by identity,
    which is what FINAL reads."""

    table: str
    written: int
    held: int
    distinct: int

    @property
    def merged(self) -> int | None:
        """Rows that merges have replaced so far; None where the store has not written all that it holds."""
        return self.written - self.held if self.written >= self.held else None

    @property
    def at_query(self) -> int:
        """Rows that FINAL still has to pass over."""
        return self.held - self.distinct


def upserts(settings: Settings) -> list[Upserts]:
    """Of each table whose rows replace each other. Raises UnavailableError without a store."""
    written: dict[str, int] = {}
    for topic in ready(settings)["topics"].values():
        written |= topic["written"]
    found = []
    for table in UPSERTED:
        (held,) = rows(settings, f"SELECT count() AS number FROM {table}")
        (distinct,) = rows(settings, f"SELECT count() AS number FROM {table} FINAL")
        found.append(Upserts(table, written.get(table, 0), held["number"], distinct["number"]))
    return found
