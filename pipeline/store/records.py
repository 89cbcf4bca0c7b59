"""Records of the derived topics, and what their readers share. Pure: no Kafka, no ClickHouse."""

from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl
import pyarrow as pa

from pipeline.codec.container import ContainerError, read_container
from pipeline.codec.headers import HeaderList
from pipeline.errors import RefusedError
from pipeline.store.tables import SCHEMAS, table_of

Rows = list[tuple[str, pa.Table]]
"""(table, rows) pairs."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a derived topic."""

    partition: int
    offset: int
    headers: HeaderList
    value: bytes | None


class Reader(Protocol):
    """Turns the records of one topic into rows, in log order."""

    def read(self, record: Record) -> Rows | None:
        """The record's rows, or None where it is none of ours and is passed over.

        Raises RefusedError where it is ours but can't be what it says.
        """
        ...

    def resume(self, partition: int, metadata: str) -> None:
        """Go on after the records whose `metadata` was committed; an empty text: from the log's beginning."""
        ...

    def metadata(self, partition: int, offset: int) -> str:
        """What to commit beside the offset of the next record, to resume from and to know the commit by as our own."""
        ...


def frame_of(where: str, value: bytes | None, columns: dict[str, Any]) -> pl.DataFrame:
    """The rows of a record's container. Raises RefusedError where it can't be read as one."""
    try:
        frame = read_container(value or b"", columns)
    except ContainerError as error:
        raise RefusedError(f"{where} is no container that can be read: {error}") from error
    if missing := columns.keys() - set(frame.columns):
        raise RefusedError(f"{where} lacks the columns {', '.join(sorted(missing))}")
    return frame


def rows_in(where: str, table: str, frame: pl.DataFrame, **scalars: int) -> pa.Table:
    """The frame's columns that the table has, and scalars for the others. Raises RefusedError where they don't fit."""
    arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    columns = {name: arrow.column(name) for name in arrow.column_names if name in SCHEMAS[table].names}
    try:
        return table_of(table, columns | scalars, frame.height)
    except ValueError as error:  # pyarrow's errors are ValueErrors, too
        raise RefusedError(f"{where} holds rows that don't fit {table}: {error}") from error
