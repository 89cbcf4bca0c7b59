"""The fields of one event in its wire form, by fastavro under the writer's schema: what the record path and tools read."""

import io
import struct
from collections.abc import Mapping
from typing import Any

import fastavro

import schemas
from pipeline.codec.event_columns import Kind
from pipeline.codec.known import Known, UnknownSchemaError
from pipeline.codec.writer import Writer, reader_schema

FRAME_SIZE = 5
"""Magic byte and schema id."""


class NotAnEventError(ValueError):
    """reason: the rule's name; the text says what is wrong."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def decode_event(value: bytes, known: Known) -> Mapping[str, Any]:
    """The event's fields, ours alone, ints and enums as unchecked numbers.

    Raises NotAnEventError; UndecidedSchemasError where its schema's id was not asked of the registry yet.
    """
    limit = schemas.limits().max_event_bytes
    if len(value) > limit:
        raise NotAnEventError("too_large", f"the value has {len(value)} bytes, an event at most {limit}")
    if len(value) < 5 or value[0] != 0:
        raise NotAnEventError("wrong_magic", "the value does not begin with byte 0 and a 4-byte schema id")
    try:
        writer = known.writer(int.from_bytes(value[1:5], "big"))
    except UnknownSchemaError as error:
        raise NotAnEventError("unknown_schema", str(error)) from None
    stream = io.BytesIO(value)
    stream.seek(5)
    try:
        event: dict[str, Any] = fastavro.schemaless_reader(stream, writer.parsed, reader_schema())
    except (EOFError, IndexError, ValueError, TypeError, OverflowError, struct.error, MemoryError) as error:
        raise NotAnEventError(
            "undecodable", f"the body is no event of its schema: {type(error).__name__} {error}"
        ) from error
    if stream.tell() != len(value):
        raise NotAnEventError("trailing_bytes", f"{len(value) - stream.tell()} bytes follow the event")
    _require_strict(value, writer)
    for name in writer.symbols:
        event[name] = writer.ours(name, event[name])
    return event


def _require_strict(value: bytes, writer: Writer) -> None:
    """fastavro wraps numbers of more than 64 bits, counts a union's branches from the end, takes any byte for a boolean, and
    any number where a field was widened to a long. The event must hold none of that."""
    position = FRAME_SIZE
    for field in writer.fields:
        if field.nullable:
            branch, position = read_long(value, position)
            if branch not in (0, 1):
                raise NotAnEventError("undecodable", f"{field.name} is of branch {branch} of two")
            if branch == field.null_branch:
                continue
        match field.kind:
            case Kind.NUMBER:
                number, position = read_long(value, position)
                if field.is_bounded and not field.least <= number < field.below:
                    raise NotAnEventError("undecodable", f"{field.name}={number} is out of its type's range")
            case Kind.STRING | Kind.BYTES:
                size, position = read_long(value, position)
                if size < 0:  # fastavro would take all the rest
                    raise NotAnEventError("undecodable", f"{field.name} has a length of {size}")
                if field.kind is Kind.STRING and not field.is_ours:  # fastavro passes over it unread
                    _require_text(value[position : position + size], field.name)
                position += size
            case Kind.BOOLEAN:
                if value[position] > 1:
                    raise NotAnEventError("undecodable", f"{field.name} is byte {value[position]}, neither true nor false")
                position += 1
            case Kind.FIXED:
                position += field.size
    if position != len(value):
        raise NotAnEventError("undecodable", f"the fields end at byte {position} of {len(value)}")


def _require_text(packed: bytes, name: str) -> None:
    try:
        packed.decode()
    except UnicodeDecodeError as error:
        raise NotAnEventError("undecodable", f"{name} is no UTF-8: {error}") from error


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
