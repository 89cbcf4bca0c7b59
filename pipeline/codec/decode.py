"""Bytes of a fetch to events, ticks and refusals, by whichever path can: both agree on every record."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import polars as pl

from pipeline.codec.batches import Batch
from pipeline.codec.columns import NotColumnarError, decode_columns
from pipeline.codec.event_columns import FRAME_SCHEMA
from pipeline.codec.plausible import split_implausible
from pipeline.codec.records import Read, Refused, Tick, kafka_records, read_records

__all__ = ["Decoded", "Refused", "Tick", "decode", "originals"]


@dataclass(frozen=True, slots=True)
class Decoded:
    """Records of a partition from offset `first` to `last` inclusive, each list in log order.

    `events`: valid ones, `FRAME_SCHEMA`. `absent`: offsets of the range that hold no record. `columnar`: how many records
    took the fast path.
    """

    first: int
    last: int
    events: pl.DataFrame
    ticks: list[Tick]
    refused: list[Refused]
    absent: int
    columnar: int


def decode(
    batches: Sequence[Batch], wanted: int, partition: int, partitions: int, max_ahead_ms: int, *, fast: bool = True
) -> Decoded:
    """Decode the batches (contiguous, at least one reaching `wanted`), dropping what lies below offset `wanted`."""
    batches = [batch for batch in batches if batch.last >= wanted]
    frames, slow = _columns(batches) if fast else ([], list(batches))
    columnar = sum(frame.height for frame in frames)
    read = read_records(slow) if slow else Read()
    if read.rows:
        frames.append(read.frame())
    events = pl.concat(frames) if len(frames) > 1 else frames[0] if frames else pl.DataFrame(schema=FRAME_SCHEMA)
    if read.rows and columnar:
        events = events.sort("offset")
    if batches[0].base < wanted:
        events = events.filter(pl.col("offset") >= wanted)
    ticks = [tick for tick in read.ticks if tick.offset >= wanted]
    refused = [entry for entry in read.refused if entry.offset >= wanted]
    events, implausible = split_implausible(events, partition, partitions, max_ahead_ms)
    if implausible:
        refused = sorted([*refused, *implausible], key=lambda entry: entry.offset)
    last = batches[-1].last
    found = events.height + len(ticks) + len(refused)
    return Decoded(wanted, last, events, ticks, refused, last - wanted + 1 - found, columnar)


def _columns(batches: list[Batch]) -> tuple[list[pl.DataFrame], list[Batch]]:
    """What decodes as columns, in one go where possible, and the batches that must be read record by record."""
    plain: list[Batch] = []
    slow: list[Batch] = []
    for batch in batches:
        (slow if batch.count == 1 and _surely_no_event(batch) else plain).append(batch)
    if not plain:
        return [], slow
    try:
        return [decode_columns(plain)], slow
    except NotColumnarError:
        pass
    frames = []
    for batch in plain:
        try:
            frames.append(decode_columns([batch]))
        except NotColumnarError:
            slow.append(batch)
    return frames, sorted(slow, key=lambda batch: batch.base)


def _surely_no_event(batch: Batch) -> bool:
    """A batch too small for an event, such as a tick: read it directly. Being wrong only costs time."""
    return batch.control or len(batch.raw) < 61 + 60


Original = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]
"""Key, value and headers of a record."""


def originals(batches: Sequence[Batch], offsets: Collection[int]) -> dict[int, Original]:
    """The records at these offsets as they came, for the dead-letter queue; each batch is read once at most."""
    wanted = set(offsets)
    found: dict[int, Original] = {}
    for batch in batches:
        if any(batch.base <= offset <= batch.last for offset in wanted):
            for record in kafka_records(batch):
                if record.offset in wanted:
                    found[record.offset] = (record.key, record.value, list(record.headers))
            wanted -= found.keys()
    return found
