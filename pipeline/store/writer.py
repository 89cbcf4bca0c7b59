"""Where rows go: one verb, and implementations that a contract test holds to the same behaviour."""

from typing import Any, Protocol

import pyarrow as pa
from clickhouse_connect.driver.exceptions import Error as EngineError

from pipeline.errors import UnavailableError
from pipeline.store.client import sentence
from pipeline.store.tables import SCHEMAS

PASSING = frozenset(
    {
        159,  # TIMEOUT_EXCEEDED
        198,  # DNS_ERROR
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        225,  # NO_ZOOKEEPER
        236,  # ABORTED
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        319,  # UNKNOWN_STATUS_OF_INSERT
        439,  # CANNOT_SCHEDULE_TASK
        999,  # KEEPER_EXCEPTION
    }
)
"""ClickHouse error codes that pass by themselves: the same insert may succeed later. Of all others it never will."""


class WriteLaterError(Exception):
    """The store can't take the rows now: write the same again later. What was written of them is replaced by then."""


class Writer(Protocol):
    """Upserts rows: a row replaces an earlier one of the same identity (the table's ORDER BY)."""

    def write(self, table: str, rows: pa.Table) -> None:
        """Returns when the rows are stored. Raises WriteLaterError, or UnavailableError for what no retry mends."""
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
        try:
            self._client.insert_arrow(table, checked(table, rows), database=self._database)
        except EngineError as error:
            code = getattr(error, "code", None)
            # No code: the server was not reached or broke off.
            if code is None or code in PASSING:
                raise WriteLaterError(sentence(error)) from error
            raise UnavailableError(f"ClickHouse refuses rows for {table}, and will again: {sentence(error)}") from error


class MemoryWriter:
    """Into lists, for tests: `tables[name]` is what was written, in order, repeats included."""

    def __init__(self) -> None:
        self.tables: dict[str, list[pa.Table]] = {}

    def write(self, table: str, rows: pa.Table) -> None:
        self.tables.setdefault(table, []).append(checked(table, rows))
