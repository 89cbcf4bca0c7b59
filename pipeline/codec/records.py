"""The record path: any batch, record by record, with aiokafka's reader and fastavro under the writer's schema.

Slower than columns, and the one that says why a record is refused.
"""

import io
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import cramjam
import fastavro
import numpy as np
import polars as pl
from aiokafka.errors import KafkaError
from aiokafka.record.memory_records import MemoryRecords

import schemas
from pipeline.codec.batches import Batch
from pipeline.codec.event_columns import EVENT_FIELDS, FRAME_SCHEMA
from pipeline.codec.headers import TICK_HEADER
from pipeline.errors import UnavailableError

_TICK_DIGITS = 18
EARLIEST_MS = 946_684_800_000
"""2000-01-01: nothing was played before, also no tick."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time in the log: the producer's clock when it had sent everything before it (epoch ms, not yet capped)."""

    offset: int
    appended_at: int
    clock: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that is no event: where it lies, when it was appended (epoch ms), the rule's name, and a sentence."""

    offset: int
    appended_at: int
    reason: str
    message: str


@dataclass(slots=True)
class Read:
    """What the record path found in some batches."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def frame(self) -> pl.DataFrame:
        return pl.DataFrame(self.rows, FRAME_SCHEMA, orient="row")


class NotAnEventError(ValueError):
    """reason: the rule's name; the text says what is wrong."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def kafka_records(batch: Batch) -> list[Any]:
    """aiokafka's records of one batch: offset, timestamp, key, value, headers.

    Raises UnavailableError where the body is no sequence of records, which the broker would not have taken: nothing in it
    may be trusted.
    """
    reader = MemoryRecords(batch.raw)
    records: list[Any] = []
    try:
        while reader.has_next():
            records.extend(reader.next_batch())
    except (
        KafkaError,
        ValueError,
        IndexError,
        struct.error,
        UnicodeDecodeError,
        RuntimeError,
        cramjam.DecompressionError,
    ) as error:
        raise UnavailableError(f"the batch at offset {batch.base} is damaged: {error!r}") from error
    return records


def read_records(batches: Iterable[Batch]) -> Read:
    """Every record of the batches as a row, a tick or a refusal; markers of transactions are none of them."""
    read = Read()
    for batch in batches:
        if batch.control:
            continue
        for record in kafka_records(batch):
            _sort_in(record, batch.transactional, read)
    return read


def _sort_in(record: Any, transactional: bool, read: Read) -> None:
    try:
        if transactional:
            raise NotAnEventError("transactional", "the record is part of a transaction, which no reader here waits for")
        if record.value is None:
            read.ticks.append(Tick(record.offset, record.timestamp, tick_clock(record.headers)))
            return
        read.rows.append(_row(record))
    except NotAnEventError as error:
        read.refused.append(Refused(record.offset, record.timestamp, error.reason, str(error)))


def tick_clock(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """The clock of a tick, epoch ms. Raises NotAnEventError where the header is absent or no time."""
    text = dict(headers).get(TICK_HEADER)
    if text is None:
        raise NotAnEventError("null_value", f"the value is null and there is no header {TICK_HEADER}")
    digits = text.lstrip(b"0")
    if not text.isdigit() or (len(digits) <= _TICK_DIGITS and int(digits or b"0") < EARLIEST_MS):
        raise NotAnEventError("malformed_tick", f"header {TICK_HEADER}={text[:40]!r} is no time in epoch milliseconds")
    # However far ahead: it is capped by the broker's time anyway.
    return int(digits[:_TICK_DIGITS])


def _row(record: Any) -> tuple[Any, ...]:
    if record.key is None or len(record.key) != 8:
        raise NotAnEventError("wrong_key", "the key is not user_id as 8 bytes, big-endian")
    event = decode_event(record.value)
    id_head, id_tail = struct.unpack("<QQ", event["event_id"])
    return (
        record.offset,
        record.timestamp,
        int.from_bytes(record.key, "big"),
        len(record.value),
        id_head,
        id_tail,
        *(event[name] for name in EVENT_FIELDS),
    )


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
                _number, position = _read_long(value, position)
            case "string":
                size, position = _read_long(value, position)
                position += size
            case "boolean":
                if value[position] > 1:
                    raise NotAnEventError(
                        "undecodable", f"{entry['name']} is byte {value[position]}, neither true nor false"
                    )
                position += 1
            case fixed:
                position += fixed["size"]


def _read_long(value: bytes, position: int) -> tuple[int, int]:
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


def id_bytes(frame: pl.DataFrame) -> list[bytes]:
    """The event ids of a frame, 16 bytes each."""
    pairs = np.stack([frame["id_head"].to_numpy(), frame["id_tail"].to_numpy()], axis=1)
    packed = pairs.astype("<u8").tobytes()
    return [packed[at : at + 16] for at in range(0, len(packed), 16)]
