"""The producers' truth ledger against the log: was what the broker acknowledged really appended, and what became of copies.

Which of several records of an id is the original follows from the log, not from the ledger: the first valid one of
its partition, whatever it was sent as (a client's second send can overtake the first). Where that one is a copy by the
ledger, it trades kinds with the ledger's `play` row, so that every kind keeps its number of copies.
"""

from pathlib import Path

import polars as pl
import pyarrow as pa

from pipeline.outcomes import Outcome
from pipeline.verify.recompute import Recomputed
from pipeline.verify.verdict import Check, KindTruth, Truth, check_of

PLACE = ["partition", "offset"]
COLUMNS = ["event_id", "kind", "status", *PLACE]
KINDS = ("play", "client_double_send", "producer_retry")


def load(folder: Path) -> tuple[pl.DataFrame, list[str]] | None:
    """All ledger rows and the names of files that aren't whole (their producer was killed); None without a ledger."""
    frames, unreadable = [], []
    for path in sorted(folder.glob("*.parquet")):
        try:
            frames.append(
                pl.read_parquet(path, columns=COLUMNS).select(
                    pl.col("event_id").cast(pl.Binary),
                    pl.col("kind", "status").cast(pl.String),
                    pl.col(PLACE).cast(pl.Int64),
                )
            )
        except pl.exceptions.PolarsError:
            unreadable.append(path.name)
    if not frames and not unreadable:
        return None
    schema = {"event_id": pl.Binary, "kind": pl.String, "status": pl.String, "partition": pl.Int64, "offset": pl.Int64}
    return pl.concat([pl.DataFrame(schema=schema), *frames]), unreadable


def log_frame(recomputed: Recomputed) -> pl.DataFrame:
    """Every record of the log but ticks: partition, offset, event_id (null where unreadable), outcome code."""
    frames = [pl.DataFrame(schema={"partition": pl.Int64, "offset": pl.Int64, "event_id": pl.Binary, "outcome": pl.Int64})]
    for fold in recomputed.folds:
        table = fold.rows.table()
        valid = pl.DataFrame(
            {
                "offset": table["source_offset"].to_numpy(),
                "event_id": pl.Series(table["event_id"].cast(pa.large_binary()), dtype=pl.Binary),
                "outcome": table["outcome"].to_numpy(),
            }
        )
        invalid = pl.DataFrame(
            {
                "offset": pl.Series(list(fold.invalid), dtype=pl.Int64),
                "event_id": pl.Series([error.event_id for error in fold.invalid.values()], dtype=pl.Binary),
                "outcome": pl.Series([int(Outcome.INVALID)] * len(fold.invalid), dtype=pl.Int64),
            }
        )
        frames += [
            frame.select(
                pl.lit(fold.partition, pl.Int64).alias("partition"),
                pl.col("offset").cast(pl.Int64),
                "event_id",
                pl.col("outcome").cast(pl.Int64),
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
    placed = right.select(*PLACE, "event_id", "kind", "outcome")
    twice = placed.group_by(PLACE).len().filter(pl.col("len") > 1).sort(PLACE)
    # 2. What else the log holds of the ledger's ids must be rows of unknown fate, attributed in the order of both.
    unclaimed = log.join(placed, on=PLACE, how="anti")
    ours = unclaimed.join(ledger, on="event_id", how="semi").sort(PLACE).with_columns(_rank())
    unknown = ledger.filter(pl.col("status") == "unknown").select("event_id", "kind").with_columns(_rank())
    attributed = ours.join(unknown, on=["event_id", "rank"], how="inner").select(*PLACE, "event_id", "kind", "outcome")
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
    truth = _truth(ledger, pl.concat([placed, attributed]), unclaimed.height - ours.height, unreadable)
    return truth, check


def _rank() -> pl.Expr:
    return pl.int_range(pl.len()).over("event_id").alias("rank")


def _truth(ledger: pl.DataFrame, placed: pl.DataFrame, unknown: int, unreadable: list[str]) -> Truth:
    firsts = (
        placed.filter(pl.col("outcome") != Outcome.INVALID)
        .sort(PLACE)
        .group_by("partition", "event_id", maintain_order=True)
        .agg(pl.col("offset").first().alias("first"), pl.col("kind").first().alias("first_kind"))
    )
    roles = placed.join(firsts, on=["partition", "event_id"], how="left").with_columns(
        original=(pl.col("offset") == pl.col("first")).fill_null(pl.col("kind") == "play")
    )
    roles = roles.with_columns(
        kind=pl.when("original").then(pl.lit("play")).when(pl.col("kind") == "play").then("first_kind").otherwise("kind")
    )
    published = dict(ledger.group_by("kind").len().iter_rows())
    ended = {
        (original, kind, outcome): number
        for original, kind, outcome, number in roles.group_by("original", "kind", "outcome").len().iter_rows()
    }

    def count(kind: str, *outcomes: Outcome, original: bool) -> int:
        return sum(ended.get((original, kind, int(outcome)), 0) for outcome in outcomes)

    def of_copies(kind: str) -> KindTruth:
        return KindTruth(
            kind,
            published=published.get(kind, 0),
            in_log=count(kind, *Outcome, original=False),
            caught=count(kind, Outcome.DUPLICATE, original=False),
            late=count(kind, Outcome.LATE, original=False),
            missed=count(kind, Outcome.ACCEPTED, Outcome.SKIPPED, Outcome.SUSPECT, original=False),
            invalid=count(kind, Outcome.INVALID, original=False),
            wrongly_dropped=0,
        )

    late = count("play", Outcome.LATE, original=True)
    dropped = count("play", Outcome.DUPLICATE, original=True)
    plays = KindTruth(
        "play",
        published=published.get("play", 0),
        in_log=count("play", *Outcome, original=True),
        caught=0,
        late=late,
        missed=0,
        invalid=count("play", Outcome.INVALID, original=True),
        wrongly_dropped=dropped,
    )
    copies = [kind for kind in sorted({*KINDS, *published}) if kind != "play"]
    caught = sum(number for (original, _, outcome), number in ended.items() if outcome == Outcome.DUPLICATE and not original)
    return Truth(
        kinds=(plays, *map(of_copies, copies)),
        duplicates=caught + dropped,
        copies=caught,
        late_plays=late,
        unknown=unknown,
        unreadable=tuple(unreadable),
    )
