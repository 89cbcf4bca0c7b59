"""What the store holds of a run's records, as one frame, and what the ledger knows of each."""

from functools import partial

import polars as pl
import pyarrow as pa

from pipeline.outcomes import LABELS, Outcome
from pipeline.settings import Settings
from pipeline.store.ask import rows, sql
from pipeline.verify.rows import StoreRows
from pipeline.verify.tables import DUPLICATES, PLAYS, Shape
from pipeline.verify.truth import PLACE

PAGE_OFFSETS = 200_000
"""Source offsets a partition asked of the store at once."""
_CODES = {label: int(outcome) for label, outcome in zip(LABELS, Outcome, strict=True)}
_COLUMNS = ("event_id", "user_id", "event_time", "played_at", "sent_at", "platform", "service")


def stored_rows(settings: Settings, reached: dict[int, int]) -> pl.DataFrame:
    """Accepted, late, suspect and duplicate records, by partition and offset, up to what is `reached` of each partition.

    Columns: partition, offset, outcome (code), first_offset (of the sighting that it repeats; its own where none), near
    (taken for a near-duplicate), event_id (16 bytes), user_id, event_time, played_at, sent_at (epoch ms), platform, service.
    Raises UnavailableError without a store.
    """
    store = StoreRows(partial(sql, settings))
    frames = [
        _frame(store.rows(shape, first, first + PAGE_OFFSETS), shape)
        for first in range(0, max(reached.values(), default=-1) + 1, PAGE_OFFSETS)
        for shape in (PLAYS, DUPLICATES)
    ]
    if not frames:
        frames = [_frame(shape.schema.empty_table(), shape) for shape in (PLAYS, DUPLICATES)]
    limits = pl.DataFrame(
        {"partition": list(reached), "last": list(reached.values())}, {"partition": pl.Int64, "last": pl.Int64}
    )
    rows = pl.concat(frames).join(limits, on="partition").filter(pl.col("offset") <= pl.col("last")).drop("last")
    return rows.sort(PLACE)


def reached_offsets(settings: Settings) -> dict[int, int]:
    """Partition → the last source offset that the store holds the outcome of."""
    found = rows(
        settings, "SELECT source_partition AS partition, max(last_offset) AS last FROM batches FINAL GROUP BY partition"
    )
    return {row["partition"]: row["last"] for row in found}


def placed_in(ledger: pl.DataFrame, stored: pl.DataFrame, reached: dict[int, int]) -> pl.DataFrame:
    """The ledger's acknowledged records of what was reached, each with its kind, outcome and near.

    What was skipped or invalid is counted and not stored: by the ledger, poison is invalid, and what else is missing was
    skipped. (Whether that is so is verify's question.)
    """
    limits = pl.DataFrame(
        {"partition": list(reached), "last": list(reached.values())}, {"partition": pl.Int64, "last": pl.Int64}
    )
    known = (
        ledger.filter(pl.col("status") == "acknowledged")
        .join(limits, on="partition")
        .filter(pl.col("offset") <= pl.col("last"))
    )
    absent = pl.when(pl.col("kind") == "poison").then(int(Outcome.INVALID)).otherwise(int(Outcome.SKIPPED))
    return known.join(stored.drop("event_id"), on=PLACE, how="left").select(
        *PLACE,
        "event_id",
        "kind",
        pl.col("outcome").fill_null(absent),
        pl.col("near").fill_null(False),
        pl.col("first_offset"),
    )


def _frame(table: pa.Table, shape: Shape) -> pl.DataFrame:
    frame = pl.DataFrame(pl.from_arrow(table))
    own = pl.col("source_offset")
    if shape is PLAYS:
        outcome, first = pl.col("outcome").replace_strict(_CODES, return_dtype=pl.Int64), pl.col("suspect_of").fill_null(own)
    else:
        outcome, first = pl.lit(int(Outcome.DUPLICATE), pl.Int64), pl.col("first_offset")
    return frame.select(
        pl.col("source_partition").alias("partition"),
        own.alias("offset"),
        outcome.alias("outcome"),
        first.alias("first_offset"),
        pl.lit(False).alias("near") if shape is DUPLICATES else (first != own).alias("near"),
        *(pl.col(name).cast(pl.Binary) if name == "event_id" else pl.col(name) for name in _COLUMNS),
    )
