"""Records of the derived topics, and what their readers share. Pure: no Kafka, no ClickHouse."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.codec.container import ContainerError, read_packed
from pipeline.codec.headers import HeaderList
from pipeline.errors import RefusedError
from pipeline.store.tables import SCHEMAS, TEXT, table_of

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


def rows_of_container(where: str, value: bytes | None, columns: dict[str, Any]) -> pa.Table:
    """The rows of a record's container, strings as they are packed. Raises RefusedError where it can't be read as one."""
    try:
        rows = read_packed(value or b"", columns)
    except ContainerError as error:
        raise RefusedError(f"{where} is no container that can be read: {error}") from error
    if missing := columns.keys() - set(rows.column_names):
        raise RefusedError(f"{where} lacks the columns {', '.join(sorted(missing))}")
    return rows


def of_outcomes(where: str, rows: pa.Table, labels: Sequence[str]) -> pa.Table:
    """The rows whose `outcome` is one of the labels. Raises RefusedError where that column holds no texts."""
    try:
        outcomes = rows.column("outcome").cast(TEXT).combine_chunks()
    except pa.ArrowException as error:
        raise RefusedError(f"{where} holds outcomes that are none: {error}") from error
    wanted = pc.is_in(outcomes.dictionary, value_set=pl.Series(labels).to_arrow().cast(TEXT.value_type))
    chosen = wanted.take(outcomes.indices)
    return rows if pc.all(chosen).as_py() else rows.filter(chosen)


def rows_in(where: str, table: str, rows: pa.Table, **others: Any) -> pa.Table:
    """The columns that the table has, and other columns or scalars. Raises RefusedError where they don't fit."""
    columns = {name: rows.column(name) for name in rows.column_names if name in SCHEMAS[table].names}
    try:
        return table_of(table, columns | others, rows.num_rows)
    except (ValueError, pa.ArrowException) as error:
        raise RefusedError(f"{where} holds rows that don't fit {table}: {error}") from error
