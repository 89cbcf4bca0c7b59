"""Rows of the derived topics: a record's value is an Arrow IPC stream of one batch, written and read as columns.

Records of runs from before that are Avro object containers of the same columns; they are read, too.
"""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.ipc

PLAYS_SCHEMA: dict[str, Any] = {
    "offset": pl.Int64,
    "appended_at": pl.Datetime("ms"),
    "event_time": pl.Datetime("ms"),
    "event_id": pl.Binary,
    "first_offset": pl.Int64,
    "user_id": pl.Int64,
    "artist_id": pl.Int64,
    "track_id": pl.Int64,
    "played_at": pl.Datetime("ms"),
    "sent_at": pl.Datetime("ms"),
    "ms_played": pl.Int32,
    "platform": pl.String,
    "service": pl.String,
    "country": pl.String,
    "outcome": pl.String,
}
COUNTS_SCHEMA: dict[str, Any] = {
    "source_partition": pl.Int32,
    "pane": pl.Datetime("ms"),
    "artist_id": pl.Int64,
    "plays": pl.Int64,
    "version": pl.Int64,
}
TOP_SCHEMA: dict[str, Any] = {"rank": pl.Int32, "artist_id": pl.Int64, "plays": pl.Int64}
_AVRO = b"Obj\x01"


class ContainerError(ValueError):
    """A value that is no container; the text says why."""


def write_container(frame: pl.DataFrame) -> bytes:
    """The rows (at least one) as an Arrow stream, not compressed: Kafka compresses the batch."""
    return write_rows(frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).to_batches()[0])


def write_rows(rows: pa.RecordBatch) -> bytes:
    """`write_container` of rows that are Arrow's already."""
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, rows.schema) as writer:
        writer.write_batch(rows)
    packed: bytes = stream.getvalue().to_pybytes()
    return packed


def read_container(value: bytes, schema: dict[str, Any], columns: list[str] | None = None) -> pl.DataFrame:
    """The rows of a container, or of an empty value none; strings as such, however they were packed.

    Raises ContainerError where it is none, or lacks a column that is asked for.
    """
    if not value:
        return pl.DataFrame(schema={name: schema[name] for name in columns or schema})
    try:
        if value.startswith(_AVRO):
            return pl.read_avro(io.BytesIO(value), columns=columns)
        rows = _checked(value, columns)
        for number, field in enumerate(rows.schema):
            if pa.types.is_dictionary(field.type):
                rows = rows.set_column(number, field.name, rows.column(number).cast(field.type.value_type))
        return pl.DataFrame(rows)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise ContainerError(str(error)) from error


def read_longs(value: bytes, columns: list[str], label: str, text: str) -> list[npt.NDArray[np.int64]]:
    """64-bit columns (numbers, or instants in epoch ms) of the rows whose column `label` is `text`.

    Raises ContainerError.
    """
    if value.startswith(_AVRO):
        frame = read_container(value, {}, [*columns, label]).filter(pl.col(label) == text)
        return [frame[column].to_physical().to_numpy() for column in columns]
    found: list[list[npt.NDArray[np.int64]]] = [[np.zeros(0, np.int64)] for _ in columns]
    for batch in _checked(value, [*columns, label]).to_batches() if value else ():
        labels = batch.column(label)
        labels = labels if pa.types.is_dictionary(labels.type) else labels.dictionary_encode()
        texts = labels.dictionary.to_pylist()
        rows = labels.indices.to_numpy() == (texts.index(text) if text in texts else -1)
        for column, parts in zip(columns, found, strict=True):
            parts.append(_longs(batch.column(column))[rows])
    return [np.concatenate(parts) for parts in found]


def _longs(column: pa.Array) -> npt.NDArray[np.int64]:
    """The memory of a 64-bit column; where a row is null, any number."""
    return np.frombuffer(column.buffers()[1], np.int64, len(column), 8 * column.offset)


def read_packed(value: bytes, schema: dict[str, Any]) -> pa.Table:
    """The rows of a container as they are packed, strings as such or by dictionary; of an empty value none.

    Raises ContainerError where it is none.
    """
    if value and not value.startswith(_AVRO):
        return _checked(value, None)
    return read_container(value, schema).to_arrow(compat_level=pl.CompatLevel.oldest())


def _checked(value: bytes, columns: list[str] | None) -> pa.Table:
    """The rows of an Arrow container as they are packed, safe to look at. Raises ContainerError."""
    try:
        with pa.ipc.open_stream(value) as stream:
            rows = stream.read_all()
        if columns:
            rows = rows.select(columns)
        rows.validate(full=True)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:  # the last: of names that are no UTF-8
        raise ContainerError(str(error)) from error
    return rows
