"""One event from the bytes of one record: Confluent's frame, then an Avro body that must be right to the last byte.

fastavro alone forgives more than the rules do: it takes a negative enum index for a place from the end, wraps integers
that don't fit, and reads any byte as a boolean. So enums are read as integers, booleans as a byte, strings as bytes,
and judged here.
"""

import re
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeAlias

from fastavro import parse_schema, schemaless_reader

import schemas

Event: TypeAlias = dict[str, Any]
"""Field → value: integers (times in epoch ms), `event_id` as 16 bytes, strings, enums as their symbol."""

INT_MIN, INT_MAX = -(1 << 31), (1 << 31) - 1
_PERHAPS_TOO_LONG = re.compile(rb"[\x80-\xff]{9}")
"""Nine continuation bytes: only then can a varint hold more than 64 bits."""


class InvalidEventError(ValueError):
    """No event of ours; `event_id` where the body could be read that far."""

    def __init__(self, reason: str, event_id: bytes | None = None) -> None:
        super().__init__(reason)
        self.event_id = event_id


@dataclass(frozen=True, slots=True)
class _Reader:
    """How bodies of one schema id are read: the schema made plain, and what is left to judge by field."""

    schema: Any
    fields: tuple[tuple[str, int], ...]
    """What a walk over the raw bytes needs: (`varint` | `bytes` | `fixed`, size of the fixed)."""
    ints: tuple[str, ...]
    booleans: tuple[str, ...]
    texts: tuple[str, ...]
    enums: tuple[tuple[str, tuple[str, ...]], ...]


class Decoder:
    """Decodes record values by the schema folder's ids and limits."""

    def __init__(self) -> None:
        self._readers = {
            number: _reader(schemas.schema(subject, version))
            for number, (subject, version) in schemas.registry().items()
            if subject == schemas.EVENTS_SUBJECT
        }
        limits = schemas.limits()
        self._max_bytes = limits.max_event_bytes
        self._integers = [(name, limit.min, limit.max) for name, limit in limits.integers.items()]
        self._strings = [(name, limit.min, limit.max) for name, limit in limits.strings.items()]

    def decode(self, value: bytes) -> Event:
        """The event, or InvalidEventError with the reason."""
        if len(value) > self._max_bytes:
            raise InvalidEventError(f"{len(value)} bytes, more than max_event_bytes")
        if len(value) < 5 or value[0] != 0:
            raise InvalidEventError("no Confluent frame")
        reader = self._readers.get(int.from_bytes(value[1:5], "big"))
        if reader is None:
            raise InvalidEventError(f"schema id {int.from_bytes(value[1:5], 'big')} is none of playback-events")
        body = value[5:]
        if _PERHAPS_TOO_LONG.search(body):
            _walk(body, reader.fields)
        stream = BytesIO(body)
        try:
            event: Event = schemaless_reader(stream, reader.schema, None)
        except (EOFError, IndexError, ValueError, OverflowError) as error:
            raise InvalidEventError(f"no Avro body: {type(error).__name__}") from None
        if stream.tell() != len(body):
            raise InvalidEventError(f"{len(body) - stream.tell()} bytes after the event", event.get("event_id"))
        self._judge(event, reader)
        return event

    def _judge(self, event: Event, reader: _Reader) -> None:
        """Put symbols and text in place; raise InvalidEventError for what is out of range."""
        for name in reader.ints:
            if not INT_MIN <= event[name] <= INT_MAX:
                raise InvalidEventError(f"{name} is no 32-bit integer", event["event_id"])
        for name, symbols in reader.enums:
            if not 0 <= event[name] < len(symbols):
                raise InvalidEventError(f"{name} has no symbol {event[name]}", event["event_id"])
            event[name] = symbols[event[name]]
        for name in reader.booleans:
            if event[name] not in (b"\0", b"\1"):
                raise InvalidEventError(f"{name} is no boolean", event["event_id"])
        for name, least, most in self._strings:
            if not least <= len(event[name]) <= most:
                raise InvalidEventError(f"{name} has {len(event[name])} bytes", event["event_id"])
        for name in reader.texts:
            try:
                event[name] = event[name].decode("utf-8")
            except UnicodeDecodeError:
                raise InvalidEventError(f"{name} is no UTF-8", event["event_id"]) from None
        for name, least, most in self._integers:
            if not least <= event[name] <= most:
                raise InvalidEventError(f"{name}={event[name]} is out of its limits", event["event_id"])


def _reader(schema: dict[str, Any]) -> _Reader:
    plain, walk, ints, booleans, texts, enums = [], [], [], [], [], []
    for field in schema["fields"]:
        name, kind = field["name"], field["type"]
        base = kind["type"] if isinstance(kind, dict) else kind
        if base == "enum":
            enums.append((name, tuple(kind["symbols"])))
            as_read: Any = "int"
        elif base == "boolean":
            booleans.append(name)
            as_read = {"type": "fixed", "name": f"boolean_{name}", "size": 1}
        elif base == "string":
            texts.append(name)
            as_read = "bytes"
        elif base == "fixed":
            as_read = kind
        elif base in ("int", "long"):
            if base == "int":
                ints.append(name)
            as_read = base
        else:
            raise NotImplementedError(f"verify can't read {name}, a field of type {base}: teach pipeline/verify/decode.py")
        plain.append({"name": name, "type": as_read})
        fixed = as_read["size"] if isinstance(as_read, dict) else 0
        walk.append(("fixed" if fixed else "bytes" if as_read == "bytes" else "varint", fixed))
    record = {"type": "record", "name": schema["name"] + "AsRead", "fields": plain}
    return _Reader(parse_schema(record), tuple(walk), tuple(ints), tuple(booleans), tuple(texts), tuple(enums))


def _walk(body: bytes, fields: tuple[tuple[str, int], ...]) -> None:
    """Raise InvalidEventError where a varint of the body holds more than 64 bits (fastavro would wrap it)."""
    at = 0
    for kind, size in fields:
        if kind == "fixed":
            at += size
            continue
        raw = shift = 0
        while at < len(body):
            byte = body[at]
            at += 1
            raw |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if shift > 70 or raw >> 64:
            raise InvalidEventError("an integer of more than 64 bits")
        if kind == "bytes":
            length = (raw >> 1) ^ -(raw & 1)
            if length < 0:
                raise InvalidEventError("a string of negative length")
            at += length
