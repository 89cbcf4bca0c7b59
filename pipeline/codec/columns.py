"""The fast path: a Kafka record batch is an Avro block.

Record format v2 writes numbers as Avro's zigzag varints and a value as a length plus bytes. So the bodies of batches, joined
behind one constant Avro container header, decode natively, offsets and events as columns, no object per record.

Whether every row consumed exactly its record is proven afterwards, from the decoded columns alone (`_aligned`).
"""

import io
import json
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

import schemas
from pipeline.codec.batches import Batch
from pipeline.codec.event_columns import EVENT_FIELDS, Kind, event_frame

Longs = npt.NDArray[np.int64]
_SYNC = b"playback-events!"
_FALSE, _TRUE = b"\0", b"\1"
_BOOLEANS = [name for name, kind in EVENT_FIELDS.items() if kind is Kind.BOOLEAN]


class NotColumnarError(ValueError):
    """These batches hold something that is not plain events of the known schema: the record path must read them."""


def decode_columns(batches: list[Batch]) -> pl.DataFrame:
    """The events of `batches` (at least one) as `event_frame` columns, in log order.

    Raises NotColumnarError unless every record is proven to be an event in the newest schema with an 8-byte key and no
    headers, at consecutive offsets.
    """
    try:
        bodies = [batch.body() for batch in batches]
    except ValueError as error:
        raise NotColumnarError(str(error)) from error
    if any(
        batch.transactional or batch.control or not looks_columnar(body) for batch, body in zip(batches, bodies, strict=True)
    ):
        raise NotColumnarError("a batch holds other records than plain events")
    counts = np.array([batch.count for batch in batches], np.int64)
    sizes = np.array([len(body) for body in bodies], np.int64)
    if any(batch.last - batch.base + 1 != batch.count for batch in batches):
        raise NotColumnarError("a batch has holes")
    joined = b"".join(bodies)
    container = b"".join((_container_header(), _varint(int(counts.sum())), _varint(len(joined)), joined, _SYNC))
    try:
        frame = pl.read_avro(io.BytesIO(container))
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        # Polars panics on some lengths (a BaseException, with a Rust trace on stderr): here only, it is an answer.
        raise NotColumnarError(f"the joined bodies are no container of events: {error}") from None
    if frame.height != counts.sum() or not _aligned(frame, counts, sizes):
        raise NotColumnarError("a row does not cover exactly its record")
    bases = np.array([batch.base for batch in batches], np.int64)
    appended = np.array([batch.max_timestamp if batch.append_time else batch.base_timestamp for batch in batches], np.int64)
    delta = np.where(np.repeat([batch.append_time for batch in batches], counts), 0, frame["timestamp_delta"].to_numpy())
    return event_frame(
        frame.with_columns(pl.col(name) == pl.lit(_TRUE) for name in _BOOLEANS),
        offset=np.repeat(bases, counts) + frame["offset_delta"].to_numpy(),
        appended_at=np.repeat(appended, counts) + delta,
        key=_unsigned(frame["key"]).byteswap(),
        value_bytes=frame["value_length"].to_numpy(),
        id_head=_unsigned(frame["id_head"]),
        id_tail=_unsigned(frame["id_tail"]),
    )


def looks_columnar(body: bytes) -> bool:
    """A cheap look at the first record: whether its key is 8 bytes long. Ticks have none; polars need not trip over them."""
    position = 0
    for field in range(5):  # length, attributes, timestamp delta, offset delta, key length
        if field == 1:
            position += 1
            continue
        begin = position
        while position < len(body) and body[position] & 0x80:
            position += 1
        position += 1
        if field == 4:
            return body[begin:position] == b"\x10"
    return False


def _aligned(frame: pl.DataFrame, counts: Longs, sizes: Longs) -> bool:
    """Whether each row covers exactly one record.

    Let canon(row) be the encoded size of the decoded values with shortest varints; what the decoder consumed is never less.
    If each record's own length equals canon less its length field, each batch's rows sum up to the batch's size, and
    together they consumed no more than all bodies, then every row consumed exactly canon, so row 0 began at 0 and each next
    one where its predecessor's record ended.
    """
    length, value_length = frame["length"].to_numpy(), frame["value_length"].to_numpy()
    offset_delta = frame["offset_delta"].to_numpy()
    expected_delta = np.arange(len(length)) - np.repeat(np.cumsum(counts) - counts, counts)
    constant = (
        (pl.col("frame") == pl.lit(_frame()))
        & (pl.col("attributes") == pl.lit(_FALSE))
        & (pl.col("key_length") == 8)
        & (pl.col("headers") == 0)
    )
    for name in _BOOLEANS:
        constant &= (pl.col(name) == pl.lit(_FALSE)) | (pl.col(name) == pl.lit(_TRUE))
    if not frame.select(constant.all()).item() or not np.array_equal(offset_delta, expected_delta):
        return False
    value_size = np.full(len(length), len(_frame()) + 16, np.int64)
    for name, kind in EVENT_FIELDS.items():
        match kind:
            case Kind.NUMBER:
                value_size += varint_width(frame[name].to_numpy())
            case Kind.STRING:
                text = frame[name].str.len_bytes().to_numpy().astype(np.int64)
                value_size += text + varint_width(text)
            case Kind.BOOLEAN:
                value_size += 1
    record_size = (
        1  # attributes
        + varint_width(frame["timestamp_delta"].to_numpy())
        + varint_width(offset_delta)
        + 1  # the key's length, 8
        + 8
        + varint_width(value_size)
        + value_size
        + 1  # no headers
    )
    if not (np.array_equal(value_length, value_size) and np.array_equal(length, record_size)):
        return False
    whole = record_size + varint_width(record_size)
    return np.array_equal(np.add.reduceat(whole, np.cumsum(counts) - counts), sizes)


def varint_width(values: npt.NDArray[Any]) -> Longs:
    """Bytes of each value as a zigzag varint. As many passes as the widths differ: mostly none or one."""
    signed = values.astype(np.int64, copy=False)
    zigzag = (signed.view(np.uint64) << np.uint64(1)) ^ (signed >> np.int64(63)).view(np.uint64)
    if not len(zigzag):
        return np.zeros(0, np.int64)
    narrowest, widest = _width(int(zigzag.min())), _width(int(zigzag.max()))
    width = np.full(len(zigzag), narrowest, np.int64)
    for bytes_below in range(narrowest, widest):
        width += zigzag >= np.uint64(1 << (7 * bytes_below))
    return width


def _width(zigzag: int) -> int:
    return max(1, -(-zigzag.bit_length() // 7))


def _unsigned(column: pl.Series) -> npt.NDArray[np.uint64]:
    """Eight bytes that were read as an Avro double, as the little-endian integer that they are."""
    return column.to_numpy().view(np.uint64)


def _varint(value: int) -> bytes:
    """Avro's zigzag varint of a number that is not negative."""
    value <<= 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@cache
def _frame() -> bytes:
    """The five bytes before an event in the newest schema: magic 0 and the schema's id."""
    return b"\0" + schemas.schema_id(schemas.EVENTS_SUBJECT, 1).to_bytes(4, "big")


@cache
def _container_header() -> bytes:
    long, eight_bytes = "long", "double"
    byte = {"type": "fixed", "name": "Byte", "size": 1}
    kinds: dict[Kind, Any] = {Kind.NUMBER: long, Kind.STRING: "string", Kind.BOOLEAN: byte}
    fields: list[tuple[str, Any]] = [
        ("length", long),
        ("attributes", byte),
        ("timestamp_delta", long),
        ("offset_delta", long),
        ("key_length", long),
        ("key", eight_bytes),
        ("value_length", long),
        # A boolean is read as its byte: the decoder would take any byte.
        ("frame", {"type": "fixed", "name": "Frame", "size": 5}),
        ("id_head", eight_bytes),
        ("id_tail", eight_bytes),
        *((name, kinds[kind]) for name, kind in EVENT_FIELDS.items()),
        ("headers", long),
    ]
    schema = {"type": "record", "name": "KafkaRecord", "fields": [{"name": n, "type": t} for n, t in fields]}
    text = json.dumps(schema).encode()
    metadata = ((b"avro.schema", text), (b"avro.codec", b"null"))
    packed = b"".join(_varint(len(key)) + key + _varint(len(value)) + value for key, value in metadata)
    return b"Obj\x01" + _varint(len(metadata)) + packed + _varint(0) + _SYNC
