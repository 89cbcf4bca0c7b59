"""The fast path: a Kafka record batch is an Avro block.

Record format v2 writes numbers as Avro's zigzag varints and a value as a length plus bytes. So the bodies of batches, joined
behind one constant Avro container header, decode natively, offsets and events as columns, no object per record.

Whether every row consumed exactly its record is proven afterwards, from the decoded columns (alignment.py).
"""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.codec.alignment import is_aligned
from pipeline.codec.batches import Batch
from pipeline.codec.event_columns import FRAME_SCHEMA, Kind, event_frame
from pipeline.codec.layout import SYNC, container_header, varint
from pipeline.codec.writer import Writer

_TRUE = b"\1"


class NotColumnarError(ValueError):
    """These batches hold something that is not plain events of the known schema: the record path must read them."""


def decode_columns(batches: Sequence[Batch], bodies: Sequence[bytes], writer: Writer) -> pl.DataFrame:
    """The events of `batches` (at least one, with their decompressed bodies) as `event_frame` columns, in log order.

    Raises NotColumnarError unless every record is proven to be an event under the writer's schema with an 8-byte key and no
    headers, at consecutive offsets.
    """
    if any(batch.transactional or batch.control for batch in batches):
        raise NotColumnarError("a batch belongs to a transaction")
    if any(batch.last - batch.base + 1 != batch.count for batch in batches):
        raise NotColumnarError("a batch has holes")
    counts = np.array([batch.count for batch in batches], np.int64)
    sizes = np.array([len(body) for body in bodies], np.int64)
    joined = b"".join(bodies)
    header = container_header(writer.fields)
    container = b"".join((header, varint(int(counts.sum())), varint(len(joined)), joined, SYNC))
    try:
        frame = pl.read_avro(io.BytesIO(container))
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        # Polars panics on some lengths (a BaseException, with a Rust trace on stderr): here only, it is an answer.
        raise NotColumnarError(f"the joined bodies are no container of events: {error}") from None
    if frame.height != counts.sum() or not is_aligned(frame, writer, joined, counts, sizes):
        raise NotColumnarError("a row does not cover exactly its record")
    bases = np.array([batch.base for batch in batches], np.int64)
    appended = np.array([batch.max_timestamp if batch.append_time else batch.base_timestamp for batch in batches], np.int64)
    delta = np.where(np.repeat([batch.append_time for batch in batches], counts), 0, frame["timestamp_delta"].to_numpy())
    return event_frame(
        _ours(frame, writer),
        offset=np.repeat(bases, counts) + frame["offset_delta"].to_numpy(),
        appended_at=np.repeat(appended, counts) + delta,
        key=_unsigned(frame["key"]).byteswap(),
        value_bytes=frame["value_length"].to_numpy(),
        id_head=_unsigned(frame["id_head"]),
        id_tail=_unsigned(frame["id_tail"]),
    )


def schema_id_of(body: bytes) -> int | None:
    """A cheap look at the first record: the schema id before its value, where its key is 8 bytes long and its value begins
    with magic 0; else None: no event (a tick, say), and polars need not trip over it."""
    position = 0
    for field in range(6):  # length, attributes, timestamp delta, offset delta, key length, value length
        if field == 1:
            position += 1
            continue
        begin = position
        while position < len(body) and body[position] & 0x80:
            position += 1
        position += 1
        if field == 4:
            if body[begin:position] != b"\x10":
                return None
            position += 8
    frame = body[position : position + 5]
    return int.from_bytes(frame[1:], "big") if len(frame) == 5 and frame[0] == 0 else None


def _ours(frame: pl.DataFrame, writer: Writer) -> pl.DataFrame:
    """Our fields of the decoded ones: booleans as such, enums by our index, what the writer lacks by its default."""
    columns = [
        (pl.col(field.name) == pl.lit(_TRUE)) for field in writer.fields if field.is_ours and field.kind is Kind.BOOLEAN
    ]
    columns += [pl.lit(value, FRAME_SCHEMA[name]).alias(name) for name, value in writer.defaults.items()]
    for name, translation in writer.symbols.items():
        written = frame[name].to_numpy()
        inside = (written >= 0) & (written < len(translation))
        columns.append(pl.lit(pl.Series(name, np.where(inside, translation[np.where(inside, written, 0)], -1))))
    return frame.with_columns(columns)


def _unsigned(column: pl.Series) -> npt.NDArray[np.uint64]:
    """Eight bytes that were read as an Avro double, as the little-endian integer that they are."""
    return column.to_numpy().view(np.uint64)
