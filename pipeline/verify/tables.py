"""Shapes in which expected and stored rows are compared, and the expected rows themselves.

Times are int64 epoch ms, ids 16 bytes, whatever the store's own types; rows are sorted by `keys`.
"""

from array import array
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.outcomes import LABELS, Outcome
from pipeline.verify.recompute import Recomputed


@dataclass(frozen=True)
class Shape:
    """A table as it is compared: its name in the store, key columns, the other columns, and which are times."""

    name: str
    keys: tuple[str, ...]
    values: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.keys + self.values

    @cached_property
    def schema(self) -> pa.Schema:
        return pa.schema([(name, _TYPES.get(name, pa.int64())) for name in self.columns])


_TYPES = {name: pa.string() for name in ("platform", "service", "country", "outcome")} | {
    "event_id": pa.binary(16),
    "final": pa.bool_(),
}
TIMES = {"event_time", "played_at", "sent_at", "appended_at", "pane", "window_end", "watermark"}
_EVENT = ("event_id", "user_id", "artist_id", "track_id", "event_time", "played_at", "sent_at", "appended_at")
_ABOUT = ("platform", "service", "country")
PLAYS = Shape("plays", ("source_partition", "source_offset"), (*_EVENT, "ms_played", *_ABOUT, "outcome", "suspect_of"))
DUPLICATES = Shape("duplicates", ("source_partition", "source_offset"), (*_EVENT, "first_offset", *_ABOUT))
COUNTS = Shape("artist_counts", ("pane", "artist_id", "source_partition"), ("plays",))
TOPS = Shape("top_artists", ("window_end", "shard", "rank"), ("artist_id", "plays", "final"))
BATCH_OUTCOMES = tuple(label + "s" if label == "duplicate" else label for label in LABELS)
"""Columns of `batches`, in the order of `Outcome`."""
BATCHES = Shape(
    "batches",
    ("source_partition", "first_offset"),
    ("last_offset", "records", "ticks", "absent", *BATCH_OUTCOMES, "watermark"),
)


def normalise(table: pa.Table, shape: Shape) -> pa.Table:
    """The store's answer in the shape's types and order. Raises pa.ArrowInvalid where a value doesn't fit."""
    columns = []
    for name, wanted in zip(shape.schema.names, shape.schema.types, strict=True):
        column = table.column(name)
        if isinstance(column.type, pa.BaseExtensionType):  # ClickHouse's UUID
            column = pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ms", column.type.tz))
        columns.append(column.cast(wanted))
    return pa.table(columns, schema=shape.schema).sort_by([(key, "ascending") for key in shape.keys])


@dataclass(frozen=True, slots=True)
class Expected:
    """Everything the store must hold of the log up to the snapshot."""

    plays: pa.Table
    duplicates: pa.Table
    counts: pa.Table
    tops: pa.Table


def expected(recomputed: Recomputed) -> Expected:
    """The rows that follow from the recomputation."""
    plays, duplicates = [], []
    labels = pa.array(LABELS)
    for fold in recomputed.folds:
        rows = fold.rows.table()
        outcome = rows.column("outcome")
        rows = rows.append_column("source_partition", pa.array([fold.partition] * len(fold.rows), pa.int64()))
        is_duplicate = pc.equal(outcome, Outcome.DUPLICATE)
        duplicates.append(rows.filter(is_duplicate).select(DUPLICATES.columns))
        stored = rows.filter(pc.is_in(outcome, pa.array([Outcome.ACCEPTED, Outcome.LATE, Outcome.SUSPECT], pa.int8())))
        codes, first = stored.column("outcome"), stored.column("first_offset")
        other = pc.not_equal(first, stored.column("source_offset"))
        stored = stored.drop_columns("outcome").append_column("outcome", labels.take(codes))
        stored = stored.append_column("suspect_of", pc.if_else(other, first, None))
        plays.append(stored.select(PLAYS.columns))
    return Expected(
        plays=pa.concat_tables(plays).cast(PLAYS.schema),
        duplicates=pa.concat_tables(duplicates).cast(DUPLICATES.schema),
        counts=_counts(recomputed),
        tops=_tops(recomputed),
    )


def _counts(recomputed: Recomputed) -> pa.Table:
    columns = [array("q") for _ in COUNTS.columns]
    for fold in recomputed.folds:
        for (pane, artist), plays in fold.panes.items():
            for column, number in zip(columns, (pane, artist, fold.partition, plays), strict=True):
                column.append(number)
    return _table(columns, COUNTS)


def _tops(recomputed: Recomputed) -> pa.Table:
    columns = [array("q") for _ in TOPS.columns[:-1]]
    for final in recomputed.finals():
        for rank, (artist, plays) in enumerate(final.ranked, start=1):
            for column, number in zip(columns, (final.window_end, final.shard, rank, artist, plays), strict=True):
                column.append(number)
    return _table([*columns, array("b", bytes([1])) * len(columns[0])], TOPS)


def _table(columns: list["array[int]"], shape: Shape) -> pa.Table:
    arrays = [
        pa.Array.from_buffers(pa.int8() if column.typecode == "b" else pa.int64(), len(column), [None, pa.py_buffer(column)])
        for column in columns
    ]
    return normalise(pa.table(arrays, names=list(shape.columns)), shape)
