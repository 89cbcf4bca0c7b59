"""Decoded events as rows of a file: the event's own fields, by name and type as in schemas/, enums by their symbol. Pure."""

from collections.abc import Iterator
from typing import Any

import polars as pl
import pyarrow as pa

import schemas
from pipeline.codec.event_columns import ENUMS
from pipeline.codec.ids import join_ids
from producers.merge.keyed import Keyed

KEY = "played_at"
_TYPES = {"int": pa.int32(), "long": pa.int64(), "string": pa.string(), "boolean": pa.bool_(), "enum": pa.string()}


def _arrow_type(kind: Any) -> Any:
    if isinstance(kind, str):
        return _TYPES[kind]
    if kind.get("logicalType") == "timestamp-millis":
        return pa.timestamp("ms", "UTC")
    return pa.binary(kind["size"]) if kind["type"] == "fixed" else _TYPES[kind["type"]]


SCHEMA = pa.schema(
    [
        pa.field(field["name"], _arrow_type(field["type"]), nullable=False)
        for field in schemas.schema(schemas.EVENTS_SUBJECT, 1)["fields"]
    ]
)
"""Columns of an exported file."""


def rows_of(events: pl.DataFrame) -> Any:
    """A RecordBatch of SCHEMA from plausible events, `FRAME_SCHEMA`."""
    arrays = []
    for field in SCHEMA:
        if field.name == "event_id":
            ids = join_ids(events["id_head"].to_numpy(), events["id_tail"].to_numpy())
            arrays.append(_one_array(ids).cast(pa.binary()).cast(field.type))
        elif field.name in ENUMS:
            arrays.append(pa.array(ENUMS[field.name]).take(_one_array(events[field.name])))
        else:
            arrays.append(_one_array(events[field.name]).cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _one_array(values: pl.Series) -> Any:
    found = values.to_arrow()
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def by_service(events: pl.DataFrame) -> Iterator[tuple[str, Keyed]]:
    """The events of each service by played_at, equal ones in the order that they are given in."""
    for (service,), some in events.group_by("service", maintain_order=True):
        ordered = some.sort(KEY, maintain_order=True)
        yield str(service), Keyed(ordered[KEY].to_numpy(), rows_of(ordered))
