"""The producers' truth ledger against the log: was what the broker acknowledged really appended, and what became of copies.

Which of several records of an id is the original follows from the log, not from the ledger: the first valid one of
its partition, whatever it was sent as (a client's second send can overtake the first). Where that one is a copy by the
ledger, it trades kinds with the ledger's `play` row, so that every kind keeps its number of copies. In the same way, of the
ids under which several services report one listen, the original is the first that counts.
"""

from pathlib import Path

import polars as pl
import pyarrow as pa

from pipeline.outcomes import Outcome
from pipeline.verify.recompute import Recomputed
from pipeline.verify.verdict import Check, KindTruth, Truth, check_of

PLACE = ["partition", "offset"]
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
ORIGINALS = ("play", "on_repeat", "shared_account")
SAME_ID = ("client_double_send", "producer_retry")
CROSS_SERVICE = "cross_service"
COUNTS = (int(Outcome.ACCEPTED), int(Outcome.SUSPECT))


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
    # 1. Acknowledged rows: the log must hold their id at their place.
    claims = ledger.filter(pl.col("status") == "acknowledged").join(
        log.rename({"event_id": "found"}), on=PLACE, how="left", maintain_order="left"
    )
    right = claims.filter((pl.col("found") == pl.col("event_id")).fill_null(False))
    wrong = claims.filter(~(pl.col("found") == pl.col("event_id")).fill_null(False))
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
        f"{row['kind']} {row['event_id'].hex()} was acknowledged at partition {row['partition']}, offset {row['offset']}, "
        f"where the log holds {row['found'].hex() if row['found'] else 'no such event'}"
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
    truth = _truth(ledger, pl.concat([placed, attributed]), unclaimed.height - ours.height, unreadable)
    return truth, check


def _rank() -> pl.Expr:
    return pl.int_range(pl.len()).over("event_id").alias("rank")


def _truth(ledger: pl.DataFrame, placed: pl.DataFrame, unknown: int, unreadable: list[str]) -> Truth:
    roles = _roles(ledger, placed)
    label = pl.when(pl.col("kind") == "play").then(pl.coalesce("look_alike", "kind")).otherwise("kind").alias("kind")
    published = dict(ledger.select(label).group_by("kind").len().iter_rows())
    ended = roles.group_by("kind", "original", "outcome", "near").len()

    def count(kind: str, *outcomes: Outcome, original: bool, near: bool | None = None) -> int:
        chosen = (pl.col("kind") == kind) & (pl.col("original") == original) & pl.col("outcome").is_in(outcomes)
        chosen &= pl.lit(True) if near is None else pl.col("near") == near
        return int(ended.filter(chosen)["len"].sum())

    def of_copies(kind: str) -> KindTruth:
        by_listen = kind == CROSS_SERVICE
        in_time = (Outcome.ACCEPTED, Outcome.SUSPECT)
        return KindTruth(
            kind,
            published=published.get(kind, 0),
            in_log=count(kind, *Outcome, original=False),
            caught=count(kind, Outcome.DUPLICATE, original=False) + count(kind, *in_time, original=False, near=True),
            late=count(kind, Outcome.LATE, original=False),
            missed=count(kind, *in_time, original=False, near=False)
            + (0 if by_listen else count(kind, Outcome.SKIPPED, original=False)),
            invalid=count(kind, Outcome.INVALID, original=False),
            wrongly_dropped=0,
            skipped=count(kind, Outcome.SKIPPED, original=False) if by_listen else 0,
        )

    def of_originals(kind: str) -> KindTruth:
        return KindTruth(
            kind,
            published=published.get(kind, 0),
            in_log=count(kind, *Outcome, original=True),
            caught=0,
            late=count(kind, Outcome.LATE, original=True),
            missed=0,
            invalid=count(kind, Outcome.INVALID, original=True),
            wrongly_dropped=count(kind, Outcome.DUPLICATE, original=True),
            wrongly_suspected=count(kind, *Outcome, original=True, near=True),
            is_original=True,
        )

    originals = [of_originals(kind) for kind in ORIGINALS if kind == "play" or kind in published]
    copies = [of_copies(kind) for kind in sorted({*SAME_ID, *published} - set(ORIGINALS))]
    duplicates = roles.filter(pl.col("outcome") == Outcome.DUPLICATE)
    suspects = roles.filter("near")
    return Truth(
        kinds=(*originals, *copies),
        duplicates=duplicates.height,
        copies=duplicates.filter(~pl.col("original")).height,
        suspects=suspects.height,
        suspected_copies=suspects.filter(~pl.col("original")).height,
        late_plays=sum(kind.late for kind in originals),
        unknown=unknown,
        unreadable=tuple(unreadable),
    )


def _roles(ledger: pl.DataFrame, placed: pl.DataFrame) -> pl.DataFrame:
    """The ledger's records in the log with what they turned out to be: kind (look-alikes by their own name) and original."""
    valid = placed.filter(pl.col("outcome") != Outcome.INVALID).sort(PLACE)
    firsts = valid.group_by("partition", "event_id", maintain_order=True).agg(
        pl.col("offset").first().alias("first"), pl.col("kind").first().alias("first_kind")
    )
    roles = placed.join(firsts, on=["partition", "event_id"], how="left").with_columns(
        original=(pl.col("offset") == pl.col("first")).fill_null(pl.col("kind").is_in(["play", CROSS_SERVICE]))
    )
    trades = pl.col("kind").is_in(["play", CROSS_SERVICE])
    roles = roles.with_columns(
        kind=pl.when("original").then(pl.lit("play")).when(trades).then("first_kind").otherwise("kind")
    )
    about = ledger.filter(pl.any_horizontal(pl.col("original_id", "look_alike").is_not_null())).unique("event_id")
    roles = roles.join(about.select("event_id", "original_id"), on="event_id", how="left").with_columns(
        listen=pl.coalesce("original_id", "event_id")
    )
    # Of the originals of one listen, each under an id of its own, the first that counts is the listen's.
    heads = (
        roles.filter("original")
        .sort(~pl.col("outcome").is_in(COUNTS), *PLACE)
        .group_by("partition", "listen", maintain_order=True)
        .agg(pl.col("event_id").first().alias("head"))
    )
    roles = roles.join(heads, on=["partition", "listen"], how="left")
    repeats = pl.col("original") & (pl.col("event_id") != pl.col("head"))
    roles = roles.with_columns(
        kind=pl.when(repeats).then(pl.lit(CROSS_SERVICE)).otherwise("kind"), original=pl.col("original") & ~repeats
    )
    alike = about.select(pl.col("event_id").alias("listen"), "look_alike")
    roles = roles.join(alike, on="listen", how="left")
    return roles.with_columns(kind=pl.when("original").then(pl.coalesce("look_alike", "kind")).otherwise("kind"))
