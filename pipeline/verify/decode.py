"""One event from the bytes of one record: Confluent's frame, then an Avro body that must be right to the last byte.

fastavro alone forgives more than the rules do: it takes a negative enum index for a place from the end, wraps integers
that don't fit, and reads any byte as a boolean. So enums are read as integers, booleans as a byte, strings as bytes,
and judged here.
"""

import re
from collections.abc import Callable, Collection
from io import BytesIO
from typing import Any, TypeAlias

from fastavro import schemaless_reader

import schemas
from pipeline.verify.reader import Reader, reader_of, symbols_of_ours
from pipeline.verify.walk import INT_MAX, INT_MIN, InvalidEventError, walk

Event: TypeAlias = dict[str, Any]
"""Field → value: integers (times in epoch ms), `event_id` as 16 bytes, strings, enums as their symbol."""

_PERHAPS_TOO_LONG = re.compile(rb"[\x80-\xff]{9}")
"""Nine continuation bytes: only then can a varint hold more than 64 bits."""


Lookup: TypeAlias = Callable[[int], str | None]
"""Schema id → its text in the registry, None for a definite no."""


class Decoder:
    """Decodes record values by the registry's schemas and the limits in schemas/.

    `lookup`: by default schemas/ itself. `always_known`: ids that were never unknown, whatever is said.
    """

    def __init__(self, lookup: Lookup | None = None, always_known: Collection[int] = ()) -> None:
        self._lookup, self._always_known = lookup or _embedded, always_known
        self.believed = 0
        """Records refused only because their schema was unknown then."""
        self._readers: dict[int, Reader | None] = {}
        limits = schemas.limits()
        self._max_bytes = limits.max_event_bytes
        self._integers = [(name, limit.min, limit.max) for name, limit in limits.integers.items()]
        self._strings = [(name, limit.min, limit.max) for name, limit in limits.strings.items()]
        self._symbols = symbols_of_ours()

    def decode(self, value: bytes, *, was_unknown: bool = False) -> Event:
        """The event, or InvalidEventError with the reason. `was_unknown`: the registry did not have its schema then."""
        if len(value) > self._max_bytes:
            raise InvalidEventError(f"{len(value)} bytes, more than max_event_bytes")
        if len(value) < 5 or value[0] != 0:
            raise InvalidEventError("no Confluent frame")
        number = int.from_bytes(value[1:5], "big")
        if number not in self._readers:
            text = self._lookup(number)
            self._readers[number] = None if text is None else reader_of(text)
        reader = self._readers[number]
        if was_unknown and reader is not None and number not in self._always_known:
            self.believed += 1
            reader = None
        if reader is None:
            raise InvalidEventError(f"schema id {number} is none of playback-events")
        body = value[5:]
        if reader.is_walked or _PERHAPS_TOO_LONG.search(body):
            walk(body, reader.places)
        stream = BytesIO(body)
        try:
            event: Event = schemaless_reader(stream, reader.schema, None)
        except (EOFError, IndexError, ValueError, OverflowError) as error:
            raise InvalidEventError(f"no Avro body: {type(error).__name__}") from None
        if stream.tell() != len(body):
            raise InvalidEventError(f"{len(body) - stream.tell()} bytes after the event", event.get("event_id"))
        event.update(reader.missing)
        self._judge(event, reader)
        return event

    def _judge(self, event: Event, reader: Reader) -> None:
        """Put symbols and text in place; raise InvalidEventError for what is out of range."""
        for name in reader.ints:
            if not INT_MIN <= event[name] <= INT_MAX:
                raise InvalidEventError(f"{name} is no 32-bit integer", event["event_id"])
        for name, symbols in reader.enums:
            if not 0 <= event[name] < len(symbols):
                raise InvalidEventError(f"{name} has no symbol {event[name]}", event["event_id"])
            symbol, ours = symbols[event[name]], self._symbols.get(name)
            event[name] = symbol if ours is None or symbol in ours[0] else ours[1]
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


def _embedded(number: int) -> str | None:
    subject, version = schemas.registry().get(number, ("", 0))
    return schemas.schema_text(subject, version) if subject == schemas.EVENTS_SUBJECT else None
