"""The fields of one event in its wire form, by fastavro under the writer's schema: what the record path and tools read."""

import io
import struct
from collections.abc import Mapping
from functools import cache
from typing import Any

import fastavro

import schemas


class NotAnEventError(ValueError):
    """reason: the rule's name; the text says what is wrong."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def decode_event(value: bytes) -> Mapping[str, Any]:
    """The event's fields, ints and enums as unchecked numbers. Raises NotAnEventError."""
    limit = schemas.limits().max_event_bytes
    if len(value) > limit:
        raise NotAnEventError("too_large", f"the value has {len(value)} bytes, an event at most {limit}")
    if len(value) < 5 or value[0] != 0:
        raise NotAnEventError("wrong_magic", "the value does not begin with byte 0 and a 4-byte schema id")
    writer = _writer_schema(int.from_bytes(value[1:5], "big"))
    stream = io.BytesIO(value)
    stream.seek(5)
    try:
        event = fastavro.schemaless_reader(stream, writer, _reader_schema())
    except (EOFError, IndexError, ValueError, TypeError, OverflowError, struct.error, MemoryError) as error:
        raise NotAnEventError(
            "undecodable", f"the body is no event of its schema: {type(error).__name__} {error}"
        ) from error
    if stream.tell() != len(value):
        raise NotAnEventError("trailing_bytes", f"{len(value) - stream.tell()} bytes follow the event")
    _require_strict(value, writer)
    decoded: Mapping[str, Any] = event
    return decoded


def _require_strict(value: bytes, writer: Any) -> None:
    """fastavro wraps numbers of more than 64 bits and takes any byte for a boolean; the event must hold neither."""
    position = 5
    for entry in writer["fields"]:
        match entry["type"]:
            case "long":
                _number, position = read_long(value, position)
            case "string":
                size, position = read_long(value, position)
                position += size
            case "boolean":
                if value[position] > 1:
                    raise NotAnEventError(
                        "undecodable", f"{entry['name']} is byte {value[position]}, neither true nor false"
                    )
                position += 1
            case fixed:
                position += fixed["size"]


def read_long(value: bytes, position: int) -> tuple[int, int]:
    """Avro's zigzag varint at this position, and the position behind it."""
    raw = shift = 0
    while True:
        byte = value[position]
        position += 1
        raw |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    if raw >= 1 << 64 or shift > 63:
        raise NotAnEventError("undecodable", "a number does not fit into 64 bits")
    return (raw >> 1) ^ -(raw & 1), position


@cache
def _reader_schema() -> Any:
    return fastavro.parse_schema(_widened(schemas.schema(schemas.EVENTS_SUBJECT, 1)))


def _writer_schema(schema_id: int) -> Any:
    try:
        return _known_writer(schema_id)
    except KeyError:
        raise NotAnEventError("unknown_schema", f"schema id {schema_id} is no version of {schemas.EVENTS_SUBJECT}") from None


@cache
def _known_writer(schema_id: int) -> Any:
    subject, version = schemas.registry()[schema_id]
    if subject != schemas.EVENTS_SUBJECT:
        raise KeyError(schema_id)
    return fastavro.parse_schema(_widened(schemas.schema(subject, version)))


def _widened(document: dict[str, Any]) -> dict[str, Any]:
    """The schema with every int, enum and timestamp as a plain long: the same bytes, and ranges are checked on columns."""

    def widen(kind: Any) -> Any:
        name = kind["type"] if isinstance(kind, dict) else kind
        return "long" if name in ("int", "long", "enum") else kind

    fields = [{"name": entry["name"], "type": widen(entry["type"])} for entry in document["fields"]]
    return {**document, "fields": fields}
