"""Where rows go: one verb, and implementations that a contract test holds to the same behaviour."""

from typing import Any, Protocol

import pyarrow as pa

from pipeline.errors import UnavailableError
from pipeline.store.refusals import translated
from pipeline.store.tables import DISTINCT, SCHEMAS

AS_IT_IS = {"optimize_on_insert": "0"}
"""ClickHouse's setting by which it doesn't look for rows that replace each other before it writes an insert."""


class Writer(Protocol):
    """Upserts rows: a row replaces an earlier one of the same identity (the table's ORDER BY)."""

    def write(self, table: str, rows: pa.Table) -> None:
        """Returns when the rows are stored. Raises NotNowError, or else UnavailableError for what no retry mends."""
        ...


def checked(table: str, rows: pa.Table) -> pa.Table:
    """The rows, if they have exactly the columns and types of the table; UnavailableError if not."""
    if table not in SCHEMAS:
        raise UnavailableError(f"there is no table {table} to write to")
    if not rows.schema.equals(SCHEMAS[table]):
        raise UnavailableError(f"rows for {table} have the columns {rows.schema.names} of other types than the table's")
    return rows


class ClickHouseWriter:
    """Into ClickHouse, by Arrow, through one client that is used by one thread at a time."""

    def __init__(self, client: Any, database: str) -> None:
        self._client = client
        self._database = database

    def write(self, table: str, rows: pa.Table) -> None:
        with translated(f"ClickHouse refuses rows for {table}"):
            # Arrow files hold one dictionary a column.
            ready = checked(table, rows).unify_dictionaries()
            settings = AS_IT_IS if table in DISTINCT else None
            self._client.insert_arrow(table, ready, database=self._database, settings=settings)


class MemoryWriter:
    """Into lists, for tests: `tables[name]` is what was written, in order, repeats included."""

    def __init__(self) -> None:
        self.tables: dict[str, list[pa.Table]] = {}

    def write(self, table: str, rows: pa.Table) -> None:
        self.tables.setdefault(table, []).append(checked(table, rows))
