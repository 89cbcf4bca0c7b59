"""What decoded events look like: one frame of columns, whichever path read them.

offset, appended_at (epoch ms), key (the record key's 8 bytes as an unsigned big-endian number), value_bytes (size of the
value), id_head and id_tail (the event id's two halves, each little-endian), then the event's fields: numbers (also
timestamps, and enums as their index) as Int64, strings as String.
"""

from enum import Enum, auto
from typing import Any

import numpy.typing as npt
import polars as pl

import schemas


class Kind(Enum):
    """How a field lies in an event's bytes. Ours are of the first three; versions of the schema may have others beside."""

    NUMBER = auto()
    STRING = auto()
    BOOLEAN = auto()
    BYTES = auto()
    FIXED = auto()


def _schema_fields() -> list[tuple[str, Any]]:
    document = schemas.schema(schemas.EVENTS_SUBJECT, 1)
    return [(field["name"], field["type"]) for field in document["fields"]]


def _kind(avro_type: Any) -> Kind:
    name = avro_type["type"] if isinstance(avro_type, dict) else avro_type
    return {"string": Kind.STRING, "boolean": Kind.BOOLEAN}.get(name, Kind.NUMBER)


EVENT_FIELDS: dict[str, Kind] = {name: _kind(kind) for name, kind in _schema_fields() if name != "event_id"}
"""Fields of an event after its id, in the schema's order."""

ENUMS: dict[str, tuple[str, ...]] = {
    name: tuple(kind["symbols"]) for name, kind in _schema_fields() if isinstance(kind, dict) and kind["type"] == "enum"
}

_DTYPES = {Kind.NUMBER: pl.Int64, Kind.STRING: pl.String, Kind.BOOLEAN: pl.Boolean}
FRAME_SCHEMA: dict[str, Any] = {
    "offset": pl.Int64,
    "appended_at": pl.Int64,
    "key": pl.UInt64,
    "value_bytes": pl.Int64,
    "id_head": pl.UInt64,
    "id_tail": pl.UInt64,
    **{name: _DTYPES[kind] for name, kind in EVENT_FIELDS.items()},
}


def event_frame(fields: pl.DataFrame, **columns: npt.NDArray[Any]) -> pl.DataFrame:
    """`FRAME_SCHEMA` from a frame that holds the event's fields and arrays for the other columns."""
    series = {name: pl.Series(name, values, FRAME_SCHEMA[name]) for name, values in columns.items()}
    return pl.DataFrame([series[name] if name in series else fields[name] for name in FRAME_SCHEMA])
