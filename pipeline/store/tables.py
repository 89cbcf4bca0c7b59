"""The store's tables as Arrow schemas, column by column as in migrations/, and conversions into them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

UUID = pa.binary(16)
MILLIS = pa.timestamp("ms", "UTC")
TEXT = pa.dictionary(pa.int32(), pa.string())
"""Few different texts: each row has the index of its own."""

PLAYS_COLUMNS = {
    "source_partition": pa.uint16(),
    "source_offset": pa.uint64(),
    "event_id": UUID,
    "user_id": pa.int64(),
    "artist_id": pa.int64(),
    "track_id": pa.int64(),
    "event_time": MILLIS,
    "played_at": MILLIS,
    "sent_at": MILLIS,
    "appended_at": MILLIS,
    "ms_played": pa.uint32(),
    "platform": TEXT,
    "service": TEXT,
    "country": TEXT,
    "outcome": TEXT,
    "suspect_of": pa.uint64(),
}
NULLABLE = {"suspect_of"}
"""Columns that may be null, or left out."""
SCHEMAS: dict[str, pa.Schema] = {
    "plays": pa.schema(PLAYS_COLUMNS),
    "duplicates": pa.schema(
        {name: kind for name, kind in PLAYS_COLUMNS.items() if name not in ("ms_played", "outcome", "suspect_of")}
        | {"first_offset": pa.uint64()}
    ),
    "batches": pa.schema(
        {"source_partition": pa.uint16()}
        | dict.fromkeys(
            (
                *("first_offset", "last_offset", "records", "ticks", "absent"),
                *("accepted", "duplicates", "late", "skipped", "suspect", "invalid"),
            ),
            pa.uint64(),
        )
        | {"watermark": MILLIS}
    ),
    "artist_counts": pa.schema(
        {
            "pane": MILLIS,
            "artist_id": pa.int64(),
            "source_partition": pa.uint16(),
            "plays": pa.uint64(),
            "version": pa.int64(),
        }
    ),
    "count_positions": pa.schema(
        {"source_partition": pa.uint16(), "shard": pa.uint16(), "counted": pa.int64(), "watermark": MILLIS}
    ),
    "artists": pa.schema({"artist_id": pa.int64(), "name": pa.large_string()}),
    "top_artists": pa.schema(
        {
            "window_end": MILLIS,
            "shard": pa.uint16(),
            "rank": pa.uint32(),
            "artist_id": pa.int64(),
            "plays": pa.uint64(),
            "final": pa.bool_(),
            "version": pa.uint64(),
            "k": pa.uint32(),
        }
    ),
}
DISTINCT = {"plays", "duplicates"}
"""Tables whose rows in one insert hardly ever replace each other: only where a record was read twice."""
_WIDE: dict[Any, Any] = {pa.uint64(): pl.UInt64, pa.bool_(): pl.Boolean}
"""Arrow types whose values a polars Int64 can't hold."""
ORDER = tuple(SCHEMAS)
"""The order in which tables are written: `batches` and `count_positions` speak of rows that are there by then."""


def table_of(name: str, columns: Mapping[str, Any], length: int) -> pa.Table:
    """Arrow columns, or scalars that hold for every row, as rows of the table.

    Raises ValueError (pyarrow's ArrowInvalid): a value is null or does not fit its column.
    """
    arrays = []
    for field in SCHEMAS[name]:
        value = pa.nulls(length, field.type) if field.name in NULLABLE - columns.keys() else columns[field.name]
        if not isinstance(value, pa.Array | pa.ChunkedArray):
            value = _repeated(value, length)
        if field.name not in NULLABLE and (nulls := _nulls(value)):
            raise ValueError(f"{nulls} nulls in {field.name}, which has none in {name}")
        if value.type != field.type:
            value = uuids(value) if field.type == UUID else value.cast(field.type)
        arrays.append(value)
    return pa.table(arrays, schema=SCHEMAS[name])


def _repeated(value: int, length: int) -> pa.Array:
    # By numpy: pa.scalar() and pa.array() would import pandas, which takes seconds and 50 MB.
    kind, wide = (pa.int64(), np.int64) if value < 1 << 63 else (pa.uint64(), np.uint64)
    return pa.Array.from_buffers(kind, length, [None, pa.py_buffer(np.full(length, value, wide))])


def _nulls(values: Any) -> int:
    """Nulls among the values, those that a dictionary stands for included."""
    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    if any(isinstance(chunk, pa.DictionaryArray) and chunk.dictionary.null_count for chunk in chunks):
        values = values.cast(values.type.value_type)
    return int(values.null_count)


def rows_of(name: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """A few rows as dictionaries, times in epoch ms."""
    wide = {field.name: _WIDE[field.type] for field in SCHEMAS[name] if field.type in _WIDE}
    arrow = pl.DataFrame(rows, schema_overrides=wide).to_arrow(compat_level=pl.CompatLevel.oldest())
    return table_of(name, {column: arrow.column(column) for column in arrow.column_names}, len(rows))


def uuids(values: Any) -> pa.Array:
    """Ids as bytes of any length → fixed 16 bytes, which ClickHouse reads as UUID in the order of the canonical text.

    Raises ValueError where one has not 16 bytes. (Arrow's own cast copies value by value, this only looks at offsets.)
    """
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_fixed_size_binary(values.type):
        return values.cast(UUID)
    values = values.cast(pa.large_binary())
    if not len(values):
        return pa.nulls(0, UUID)
    _, offsets, data = values.buffers()
    bounds = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    if (np.diff(bounds) != 16).any():
        raise ValueError("an event_id has not 16 bytes")
    return pa.FixedSizeBinaryArray.from_buffers(UUID, len(values), [None, data.slice(int(bounds[0]), 16 * len(values))])
