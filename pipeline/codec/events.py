"""One event to the wire and back, by fastavro: for tools, tests and single events. The hot path works on columns.

Wire format: byte 0, 4-byte big-endian schema id, Avro body (Confluent's). The record key is `key_of(user_id)`.
"""

import io
import struct
from functools import cache
from typing import Any
from uuid import UUID

import fastavro

import schemas
from pipeline.codec.event_columns import ENUMS
from pipeline.codec.event_fields import NotAnEventError, decode_event
from pipeline.codec.known import Known, embedded
from schemas.model import PlaybackEvent

__all__ = ["FRAME", "NotAnEventError", "decode", "encode", "key_of"]

FRAME = struct.Struct(">bI")
"""What stands before the Avro body: magic byte 0 and the schema id."""


def key_of(identity: int) -> bytes:
    """The record key of a user (or artist) id: 8 bytes big-endian."""
    return struct.pack(">q", identity)


def encode(event: PlaybackEvent, schema_id: int | None = None) -> bytes:
    """The record value of one event, under version 1 of the schema; `schema_id`: where it is another than in schemas/."""
    row = event.model_dump() | {"event_id": event.event_id.bytes}
    out = io.BytesIO(FRAME.pack(0, schema_id or schemas.schema_id(schemas.EVENTS_SUBJECT, 1)))
    out.seek(FRAME.size)
    fastavro.schemaless_writer(out, _schema(1), row)
    return out.getvalue()


def decode(value: bytes, known: Known | None = None) -> PlaybackEvent:
    """The event in a record value; `known`: other schemas than those in schemas/.

    Raises NotAnEventError (also for implausible values), UndecidedSchemasError.
    """
    fields = dict(decode_event(value, known or embedded()))
    fields["event_id"] = UUID(bytes=fields["event_id"])
    try:
        fields |= {name: dict(enumerate(symbols))[fields[name]] for name, symbols in ENUMS.items()}
        return PlaybackEvent(**fields)
    except (ValueError, KeyError) as error:
        raise NotAnEventError("implausible", str(error)) from error


@cache
def _schema(version: int) -> Any:
    """The parsed schema without its logical types: instants stay integers, and no float or zone gets between."""
    document = schemas.schema(schemas.EVENTS_SUBJECT, version)
    for field in document["fields"]:
        if isinstance(field["type"], dict):
            field["type"].pop("logicalType", None)
    return fastavro.parse_schema(document)
