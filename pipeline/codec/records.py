"""The record path: any batch, record by record, with aiokafka's reader and fastavro under the writer's schema.

Slower than columns, and the one that says why a record is refused.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cramjam
import polars as pl
from aiokafka.errors import KafkaError
from aiokafka.record.memory_records import MemoryRecords

from pipeline.codec.batches import Batch
from pipeline.codec.event_columns import EVENT_FIELDS, FRAME_SCHEMA
from pipeline.codec.event_fields import NotAnEventError, decode_event, read_long
from pipeline.codec.headers import TICK_HEADER
from pipeline.codec.known import Known, UndecidedSchemasError
from pipeline.errors import RefusedError

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


class RawRecord(NamedTuple):
    """A record as aiokafka gives it, as far as it is used here; timestamp in epoch ms."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


@dataclass(slots=True)
class Read:
    """What the record path found in some batches."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    undecided: set[int] = field(default_factory=set)
    """Schema ids that must be asked of the registry before any of this counts."""

    def frame(self) -> pl.DataFrame:
        return pl.DataFrame(self.rows, FRAME_SCHEMA, orient="row")


def kafka_records(batch: Batch) -> list[Any]:
    """aiokafka's records of one batch: offset, timestamp, key, value, headers.

    Raises RefusedError where the body is no sequence of records, which the broker would not have taken: nothing in it
    may be trusted.
    """
    try:
        try:
            return _strict_records(batch)
        except UnicodeDecodeError:
            # The broker doesn't look at header names, aiokafka wants UTF-8.
            return list(tolerant_records(batch))
    except (KafkaError, ValueError, IndexError, struct.error, RuntimeError, cramjam.DecompressionError) as error:
        raise RefusedError(f"the batch at offset {batch.base} is damaged: {error!r}") from error


def _strict_records(batch: Batch) -> list[Any]:
    reader = MemoryRecords(batch.raw)
    records: list[Any] = []
    while reader.has_next():
        records.extend(reader.next_batch())
    return records


def tolerant_records(batch: Batch) -> Iterator[RawRecord]:
    """The records of a batch whose header names may be any bytes; what is no UTF-8 in a name is replaced."""
    body, position = batch.body(), 0
    for _ in range(batch.count):
        _length, position = read_long(body, position)
        delta, position = read_long(body, position + 1)  # behind the attributes
        offset_delta, position = read_long(body, position)
        key, position = _bytes_at(body, position)
        value, position = _bytes_at(body, position)
        count, position = read_long(body, position)
        headers = []
        for _header in range(count):
            name, position = _bytes_at(body, position)
            content, position = _bytes_at(body, position)
            headers.append(((name or b"").decode("utf-8", "replace"), content))
        timestamp = batch.max_timestamp if batch.append_time else batch.base_timestamp + delta
        yield RawRecord(batch.base + offset_delta, timestamp, key, value, headers)


def _bytes_at(body: bytes, position: int) -> tuple[bytes | None, int]:
    size, position = read_long(body, position)
    return (None, position) if size < 0 else (body[position : position + size], position + size)


def read_records(batches: Iterable[Batch], known: Known) -> Read:
    """Every record of the batches as a row, a tick or a refusal; markers of transactions are none of them.

    Behind a record whose schema is undecided only further such ids are looked for: all is read again once they are known.
    """
    read = Read()
    for batch in batches:
        if batch.control:
            continue
        for record in kafka_records(batch):
            if not read.undecided or _may_be_undecided(record.value, known, read.undecided):
                _sort_in(record, batch.transactional, known, read)
    return read


def _may_be_undecided(value: bytes | None, known: Known, found: set[int]) -> bool:
    if value is None or len(value) < 5:
        return False
    schema_id = int.from_bytes(value[1:5], "big")
    return schema_id not in found and known.get(schema_id) is None


def _sort_in(record: Any, transactional: bool, known: Known, read: Read) -> None:
    try:
        if transactional:
            raise NotAnEventError("transactional", "the record is part of a transaction, which no reader here waits for")
        if record.value is None:
            read.ticks.append(Tick(record.offset, record.timestamp, tick_clock(record.headers)))
            return
        read.rows.append(row_of(record, known))
    except NotAnEventError as error:
        read.refused.append(Refused(record.offset, record.timestamp, error.reason, str(error)))
    except UndecidedSchemasError as error:
        read.undecided.update(error.ids)


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


def row_of(record: Any, known: Known) -> tuple[Any, ...]:
    """A row of `FRAME_SCHEMA`, its values not checked for plausibility. Raises NotAnEventError, UndecidedSchemasError."""
    if record.key is None or len(record.key) != 8:
        raise NotAnEventError("wrong_key", "the key is not user_id as 8 bytes, big-endian")
    event = decode_event(record.value, known)
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
