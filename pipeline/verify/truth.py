"""What became of each kind of copy, by the ledger.

Which of several records of an id is the original follows from the log, not from the ledger: the first valid one of
its partition, whatever it was sent as (a client's second send can overtake the first). Where that one is a copy by the
ledger, it trades kinds with the ledger's `play` row, so that every kind keeps its number of copies. In the same way, of the
ids under which several services report one listen, the original is the first that counts.
"""

import polars as pl

from pipeline.outcomes import Outcome
from pipeline.verify.verdict import KindTruth, Truth

PLACE = ["partition", "offset"]
ORIGINALS = ("play", "on_repeat", "shared_account")
SAME_ID = ("client_double_send", "producer_retry")
CROSS_SERVICE = "cross_service"
COUNTS = (int(Outcome.ACCEPTED), int(Outcome.SUSPECT))


def truth_of(ledger: pl.DataFrame, placed: pl.DataFrame, unknown: int, unreadable: list[str]) -> Truth:
    """What became of each kind. `placed`: the ledger's records in the log (partition, offset, event_id, kind, outcome,
    near); `unknown`: how many records are of ids that no ledger knows; `unreadable`: ledger files that were left out."""
    roles = roles_of(ledger, placed)
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


def roles_of(ledger: pl.DataFrame, placed: pl.DataFrame) -> pl.DataFrame:
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
