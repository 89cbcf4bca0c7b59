"""Bytes of a fetch to events, ticks and refusals, by whichever path can: both agree on every record."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import polars as pl

from pipeline.codec.batches import Batch
from pipeline.codec.columns import NotColumnarError, decode_columns, schema_id_of
from pipeline.codec.event_columns import FRAME_SCHEMA
from pipeline.codec.known import Known, UndecidedSchemasError, embedded
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
    batches: Sequence[Batch],
    wanted: int,
    partition: int,
    partitions: int,
    max_ahead_ms: int,
    *,
    fast: bool = True,
    known: Known | None = None,
) -> Decoded:
    """Decode the batches (contiguous, at least one reaching `wanted`), dropping what lies below offset `wanted`.

    `known`: what the schema registry said so far; by default the versions in schemas/ and no others. Raises
    UndecidedSchemasError where it must be asked first.
    """
    known = known or embedded()
    batches = [batch for batch in batches if batch.last >= wanted]
    frames, slow = _columns(batches, known) if fast else ([], list(batches))
    columnar = sum(frame.height for frame in frames)
    read = read_records(slow, known) if slow else Read()
    if read.undecided:
        raise UndecidedSchemasError(read.undecided)
    if read.rows:
        frames.append(read.frame())
    events = pl.concat(frames) if len(frames) > 1 else frames[0] if frames else pl.DataFrame(schema=FRAME_SCHEMA)
    if len(frames) > 1:
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


def _columns(batches: list[Batch], known: Known) -> tuple[list[pl.DataFrame], list[Batch]]:
    """What decodes as columns, all batches of a schema in one go where possible, and those that must be read by record."""
    plain: dict[int, tuple[list[Batch], list[bytes]]] = {}
    slow: list[Batch] = []
    for batch in batches:
        body = None if batch.count == 1 and _surely_no_event(batch) else _body(batch)
        schema_id = None if body is None else schema_id_of(body)
        if body is None or schema_id is None or known.get(schema_id) is None:
            slow.append(batch)
        else:
            some, bodies = plain.setdefault(schema_id, ([], []))
            some.append(batch)
            bodies.append(body)
    frames: list[pl.DataFrame] = []
    for schema_id, (some, bodies) in plain.items():
        writer = known.writer(schema_id)
        try:
            frames.append(decode_columns(some, bodies, writer))
            continue
        except NotColumnarError:
            pass
        for batch, body in zip(some, bodies, strict=True):
            try:
                frames.append(decode_columns([batch], [body], writer))
            except NotColumnarError:
                slow.append(batch)
    return frames, sorted(slow, key=lambda batch: batch.base)


def _body(batch: Batch) -> bytes | None:
    """The decompressed records; None where they don't decompress: the record path says what that means."""
    try:
        return batch.body()
    except ValueError:
        return None


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
