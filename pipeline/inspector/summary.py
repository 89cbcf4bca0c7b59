"""What deduplication did to a run: store and ledger, record by record."""

from dataclasses import dataclass

import polars as pl

from pipeline.inspector.distances import distances
from pipeline.inspector.layers import Upserts, upserts
from pipeline.inspector.offenders import Sender, offenders
from pipeline.inspector.stored import placed_in, reached_offsets, stored_rows
from pipeline.outcomes import Outcome
from pipeline.settings import Settings
from pipeline.verify.ledger import SCHEMA, load
from pipeline.verify.truth import CROSS_SERVICE, PLACE, roles_of, truth_of
from pipeline.verify.verdict import Truth
from producers.ledger import requests_retried

UNTOLD = "no ledger"
"""The kind of copies that no ledger tells of."""
NEAR_UNTOLD = "no ledger, near"


@dataclass(frozen=True, slots=True)
class Summary:
    """`duplicates`, `near_duplicates`: stored outcomes, whoever sent them. `truth`: by the ledger; None where there is none.
    `rule`: what the run makes of near-duplicates."""

    run: str
    rule: str
    offsets: int
    duplicates: int
    near_duplicates: int
    truth: Truth | None
    distances: dict[str, dict[str, int]]
    senders: dict[str, list[Sender]]
    upserts: list[Upserts]
    requests_retried: int | None


def summarise(settings: Settings) -> Summary:
    """Look at everything that the store holds by now. Raises UnavailableError without a store."""
    reached = reached_offsets(settings)
    stored = stored_rows(settings, reached)
    found = load(settings.ledger_dir)
    ledger, unreadable = found or (pl.DataFrame(schema=SCHEMA), [])
    placed = placed_in(ledger, stored, reached)
    copies = _copies(stored, ledger, placed)
    strangers = stored.join(placed, on=PLACE, how="anti").height
    return Summary(
        run=settings.run,
        rule=settings.near_duplicates,
        offsets=sum(last + 1 for last in reached.values()),
        duplicates=stored.filter(pl.col("outcome") == int(Outcome.DUPLICATE)).height,
        near_duplicates=stored.filter("near").height,
        truth=truth_of(ledger, placed, strangers, unreadable) if found else None,
        distances=distances(stored, copies),
        senders=offenders(stored),
        upserts=upserts(settings),
        requests_retried=requests_retried(settings),
    )


def _copies(stored: pl.DataFrame, ledger: pl.DataFrame, placed: pl.DataFrame) -> pl.DataFrame:
    """Every copy there is, by the ledger or, where it tells nothing, by what classify took for one: partition, offset, kind
    and the offset of its first sighting."""
    roles = roles_of(ledger, placed)
    # A copy beyond the horizon was not recognised, so its own record names no first sighting: the ledger does.
    first = pl.col("offset").min().over("partition", "event_id")
    of_listen = pl.when(pl.col("kind") == CROSS_SERVICE).then(pl.col("first_offset")).otherwise(first)
    told = roles.with_columns(first_offset=of_listen).filter(
        ~pl.col("original") & (pl.col("outcome") != int(Outcome.INVALID)) & pl.col("first_offset").is_not_null()
    )
    told = told.filter((pl.col("kind") != CROSS_SERVICE) | pl.col("near"))
    untold = stored.join(placed, on=PLACE, how="anti").filter((pl.col("outcome") == int(Outcome.DUPLICATE)) | pl.col("near"))
    kind = pl.when("near").then(pl.lit(NEAR_UNTOLD)).otherwise(pl.lit(UNTOLD)).alias("kind")
    columns = (*PLACE, "kind", "first_offset")
    return pl.concat([told.select(columns), untold.with_columns(kind).select(columns)])
