"""The producers' truth ledger against the log: was what the broker acknowledged really appended?"""

from pathlib import Path

import polars as pl
import pyarrow as pa

from pipeline.outcomes import Outcome
from pipeline.verify.recompute import Recomputed
from pipeline.verify.truth import PLACE, truth_of
from pipeline.verify.verdict import Check, Truth, check_of

SCHEMA = {
    "event_id": pl.Binary,
    "kind": pl.String,
    "status": pl.String,
    "partition": pl.Int64,
    "offset": pl.Int64,
    "original_id": pl.Binary,
    "look_alike": pl.String,
}
"""What is judged by. `original_id`: of the play that a cross_service row reports again. `look_alike`: why a play that is no
copy may be taken for one."""


def load(folder: Path) -> tuple[pl.DataFrame, list[str]] | None:
    """All ledger rows and the names of files that aren't whole (their producer was killed); None without a ledger."""
    frames, unreadable = [], []
    for path in sorted(folder.glob("*.parquet")):
        try:
            held = pl.read_parquet(path)
            absent = [pl.lit(None).alias(name) for name in SCHEMA if name not in held.columns]  # an older ledger
            frames.append(held.with_columns(absent).select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()))
        except pl.exceptions.PolarsError:
            unreadable.append(path.name)
    if not frames and not unreadable:
        return None
    return pl.concat([pl.DataFrame(schema=SCHEMA), *frames]), unreadable


def log_frame(recomputed: Recomputed) -> pl.DataFrame:
    """Every record of the log but ticks: partition, offset, event_id (null where unreadable), outcome code, and whether it
    was taken for a near-duplicate."""
    schema = {"partition": pl.Int64, "offset": pl.Int64, "event_id": pl.Binary, "outcome": pl.Int64, "near": pl.Boolean}
    frames = [pl.DataFrame(schema=schema)]
    for fold in recomputed.folds:
        table = fold.rows.table()
        valid = pl.DataFrame(
            {
                "offset": table["source_offset"].to_numpy(),
                "event_id": pl.Series(table["event_id"].cast(pa.large_binary()), dtype=pl.Binary),
                "outcome": table["outcome"].to_numpy(),
                "near": table["first_offset"].to_numpy() != table["source_offset"].to_numpy(),
            }
        ).with_columns(pl.col("near") & (pl.col("outcome") != Outcome.DUPLICATE))
        invalid = pl.DataFrame(
            {
                "offset": pl.Series(list(fold.invalid), dtype=pl.Int64),
                "event_id": pl.Series([error.event_id for error in fold.invalid.values()], dtype=pl.Binary),
                "outcome": pl.Series([int(Outcome.INVALID)] * len(fold.invalid), dtype=pl.Int64),
                "near": pl.Series([False] * len(fold.invalid), dtype=pl.Boolean),
            }
        )
        frames += [
            frame.select(
                pl.lit(fold.partition, pl.Int64).alias("partition"),
                pl.col("offset").cast(pl.Int64),
                "event_id",
                pl.col("outcome").cast(pl.Int64),
                "near",
            )
            for frame in (valid, invalid)
        ]
    return pl.concat(frames)


def judge(ledger: pl.DataFrame, log: pl.DataFrame, ends: list[int], unreadable: list[str]) -> tuple[Truth, Check]:
    """The truth per kind, and the check that acknowledged rows are in the log at their place and failed ones aren't.

    Rows acknowledged past the snapshot (`ends`, by partition) are left out.
    """
    limits = pl.DataFrame({"partition": range(len(ends)), "end": ends}, schema={"partition": pl.Int64, "end": pl.Int64})
    ledger = (
        ledger.join(limits, on="partition", how="left", maintain_order="left")
        .filter(~((pl.col("status") == "acknowledged") & (pl.col("offset") >= pl.col("end")).fill_null(False)))
        .drop("end")
    )
    # 1. Acknowledged rows: the log must hold their id at their place. Poison's may be unreadable, and it must be invalid.
    claims = ledger.filter(pl.col("status") == "acknowledged").join(
        log.rename({"event_id": "found"}), on=PLACE, how="left", maintain_order="left"
    )
    as_claimed = (
        pl.when(pl.col("kind") == "poison")
        .then(pl.col("found").eq_missing(pl.col("event_id")) & pl.col("outcome").eq_missing(Outcome.INVALID))
        .otherwise((pl.col("found") == pl.col("event_id")).fill_null(False))
    )
    right, wrong = claims.filter(as_claimed), claims.filter(~as_claimed)
    placed = right.select(*PLACE, "event_id", "kind", "outcome", "near")
    twice = placed.group_by(PLACE).len().filter(pl.col("len") > 1).sort(PLACE)
    # 2. What else the log holds of the ledger's ids must be rows of unknown fate, attributed in the order of both.
    unclaimed = log.join(placed, on=PLACE, how="anti")
    ours = unclaimed.join(ledger, on="event_id", how="semi").sort(PLACE).with_columns(_rank())
    unknown = ledger.filter(pl.col("status") == "unknown").select("event_id", "kind").with_columns(_rank())
    attributed = ours.join(unknown, on=["event_id", "rank"], how="inner").select(
        *PLACE, "event_id", "kind", "outcome", "near"
    )
    excess = ours.join(unknown, on=["event_id", "rank"], how="anti").sort(PLACE)

    failed = ledger.filter(pl.col("status") == "failed").height
    sentences = [
        f"{row['kind']} {(row['event_id'] or b'').hex()} was acknowledged at partition {row['partition']}, "
        f"offset {row['offset']}, where the log holds {row['found'].hex() if row['found'] else 'no such event'}"
        for row in wrong.iter_rows(named=True)
    ]
    sentences += [
        f"{row['len']} rows say they lie at partition {row['partition']}, offset {row['offset']}"
        for row in twice.iter_rows(named=True)
    ]
    sentences += [
        f"{row['event_id'].hex()} lies at partition {row['partition']}, offset {row['offset']}, "
        "and every row of it that wasn't acknowledged elsewhere failed"
        for row in excess.iter_rows(named=True)
    ]
    wanted = claims.height + failed
    check = check_of("ledger", wanted, max(wanted - len(sentences), 0), sentences)
    truth = truth_of(ledger, pl.concat([placed, attributed]), unclaimed.height - ours.height, unreadable)
    return truth, check


def _rank() -> pl.Expr:
    return pl.int_range(pl.len()).over("event_id").alias("rank")
