"""Record batches as a broker would store them, built by aiokafka's own builder: independent of our readers."""

import io
import struct
from collections.abc import Sequence
from typing import Any

import fastavro
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

import schemas

EVENT_SCHEMA = fastavro.parse_schema(schemas.schema(schemas.EVENTS_SUBJECT, 1))
NOON = 1_760_000_000_000
Item = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]


def event(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A plausible event; `number` makes its id and user."""
    plain = {
        "event_id": number.to_bytes(16, "big"),
        "user_id": number,
        "artist_id": 7,
        "track_id": 11,
        "album_id": 5,
        "played_at": NOON,
        "ms_played": 180_000,
        "track_ms": 200_000,
        "session_id": 9,
        "sequence": 0,
        "platform": "ios",
        "service": "listening",
        "country": "SE",
        "offline": False,
        "reason_end": "finished",
        "sent_at": NOON + 100,
    }
    return plain | changes


def framed(body: bytes, schema_id: int = 1, magic: int = 0) -> bytes:
    return bytes([magic]) + schema_id.to_bytes(4, "big") + body


def body_of(fields: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, EVENT_SCHEMA, fields)
    return stream.getvalue()


def record(fields: dict[str, Any], headers: Sequence[tuple[str, bytes]] = ()) -> Item:
    """Key, value and headers of an event."""
    return struct.pack(">q", fields["user_id"]), framed(body_of(fields)), list(headers)


def tick(clock: int) -> Item:
    return None, None, [("listening-tick", b"%d" % clock)]


def batch_bytes(
    items: Sequence[Item],
    base: int = 0,
    codec: int = 0,
    timestamps: Sequence[int] | None = None,
    append_time: int | None = None,
    transactional: bool = False,
) -> bytes:
    """One batch. `append_time`: dated by the broker at that time, else each record by `timestamps` (default NOON + 1000)."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=transactional,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=64 << 20,
    )
    for index, (key, value, headers) in enumerate(items):
        stamp = timestamps[index] if timestamps else NOON + 1000
        builder.append(index, stamp, key, value, headers)
    raw = bytearray(builder.build())
    raw[0:8] = struct.pack(">q", base)
    if append_time is not None:
        raw[35:43] = struct.pack(">q", append_time)
        raw[22] |= 0x08
    return resealed(bytes(raw))


def resealed(raw: bytes) -> bytes:
    """The batch with length and checksum made to fit its bytes again."""
    sealed = bytearray(raw)
    sealed[8:12] = struct.pack(">i", len(sealed) - 12)
    sealed[17:21] = struct.pack(">I", calc_crc32c(bytes(sealed[21:])))
    return bytes(sealed)
