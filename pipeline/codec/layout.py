"""The constant Avro container header behind which Kafka record bodies decode as columns, one for each writer's layout."""

import json
from functools import cache
from typing import Any

from pipeline.codec.event_columns import Kind
from pipeline.codec.writer import WrittenField

SYNC = b"playback-events!"
_ID = "event_id"


def varint(value: int) -> bytes:
    """Avro's zigzag varint of a number that is not negative."""
    value <<= 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def column_of(number: int, field: WrittenField) -> str:
    """The column that a field is decoded into: a version's own fields may have any name, also one of the columns around."""
    return field.name if field.is_ours else f"own_{number}"


@cache
def container_header(written: tuple[WrittenField, ...]) -> bytes:
    """A container whose rows are Kafka records: the record's own fields, the event's, the number of headers (none)."""
    long, eight_bytes = "long", "double"
    byte = {"type": "fixed", "name": "Byte", "size": 1}
    fields: list[tuple[str, Any]] = [
        ("length", long),
        ("attributes", byte),
        ("timestamp_delta", long),
        ("offset_delta", long),
        ("key_length", long),
        ("key", eight_bytes),
        ("value_length", long),
        ("frame", {"type": "fixed", "name": "Frame", "size": 5}),
    ]
    for number, field in enumerate(written):
        if field.name == _ID:
            fields += [("id_head", eight_bytes), ("id_tail", eight_bytes)]
            continue
        kind = _avro_type(number, field)
        branches = ["null", kind] if field.null_branch == 0 else [kind, "null"]
        fields.append((column_of(number, field), branches if field.nullable else kind))
    fields.append(("headers", long))
    schema = {"type": "record", "name": "KafkaRecord", "fields": [{"name": n, "type": t} for n, t in fields]}
    text = json.dumps(schema).encode()
    metadata = ((b"avro.schema", text), (b"avro.codec", b"null"))
    packed = b"".join(varint(len(key)) + key + varint(len(value)) + value for key, value in metadata)
    return b"Obj\x01" + varint(len(metadata)) + packed + varint(0) + SYNC


def _avro_type(number: int, field: WrittenField) -> Any:
    match field.kind:
        case Kind.NUMBER:
            return "long"
        case Kind.STRING:
            return "string"
        case Kind.BYTES:
            return "bytes"
        case Kind.FIXED:
            return {"type": "fixed", "name": f"Own{number}", "size": field.size}
        case Kind.BOOLEAN:
            # As its byte: the decoder would take any byte.
            return {"type": "fixed", "name": f"Byte{number}", "size": 1}
