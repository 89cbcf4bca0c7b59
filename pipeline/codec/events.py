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
from schemas.model import PlaybackEvent

FRAME = struct.Struct(">bI")
"""What stands before the Avro body: magic byte 0 and the schema id."""


class NotAnEventError(ValueError):
    """The bytes are no playback event of a schema that we know, or not a plausible one."""


def key_of(identity: int) -> bytes:
    """The record key of a user (or artist) id: 8 bytes big-endian."""
    return struct.pack(">q", identity)


def encode(event: PlaybackEvent) -> bytes:
    """The record value of one event, under version 1 of the schema."""
    row = event.model_dump() | {"event_id": event.event_id.bytes}
    out = io.BytesIO(FRAME.pack(0, schemas.schema_id(schemas.EVENTS_SUBJECT, 1)))
    out.seek(FRAME.size)
    fastavro.schemaless_writer(out, _schema(1), row)
    return out.getvalue()


def decode(value: bytes) -> PlaybackEvent:
    """The event in a record value. Raises NotAnEventError (also for bytes left over and for implausible values)."""
    if len(value) < FRAME.size:
        raise NotAnEventError(f"{len(value)} bytes are too few for a framed event")
    magic, number = FRAME.unpack_from(value)
    subject, version = schemas.registry().get(number, ("", 0))
    if magic or subject != schemas.EVENTS_SUBJECT:
        raise NotAnEventError(f"magic byte {magic} and schema id {number} name no schema of {schemas.EVENTS_SUBJECT}")
    body = io.BytesIO(value)
    body.seek(FRAME.size)
    try:
        row: Any = fastavro.schemaless_reader(body, _schema(version), None)
        event = PlaybackEvent(**row | {"event_id": UUID(bytes=row["event_id"])})
    except (EOFError, ValueError, IndexError, OverflowError) as error:
        raise NotAnEventError(str(error)) from error
    if left := len(value) - body.tell():
        raise NotAnEventError(f"{left} bytes are left over after the event")
    return event


@cache
def _schema(version: int) -> Any:
    """The parsed schema without its logical types: instants stay integers, and no float or zone gets between."""
    document = schemas.schema(schemas.EVENTS_SUBJECT, version)
    for field in document["fields"]:
        if isinstance(field["type"], dict):
            field["type"].pop("logicalType", None)
    return fastavro.parse_schema(document)
