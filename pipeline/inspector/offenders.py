"""Who sends copies: by service, by client platform, and the users with the most."""

from dataclasses import dataclass

import polars as pl

from pipeline.outcomes import Outcome

WORST = 5


@dataclass(frozen=True, slots=True)
class Sender:
    """`events`: stored ones, copies included (what was skipped or invalid isn't stored)."""

    name: str
    events: int
    duplicates: int
    near_duplicates: int

    @property
    def share(self) -> float:
        """Of events that are duplicates or near-duplicates."""
        return (self.duplicates + self.near_duplicates) / self.events


def offenders(stored: pl.DataFrame) -> dict[str, list[Sender]]:
    """By service and by platform all, the greatest share first; of users the five with the most copies."""
    return {
        "service": _senders(stored, "service"),
        "platform": _senders(stored, "platform"),
        "user": sorted(_senders(stored, "user_id"), key=lambda one: (-one.duplicates - one.near_duplicates, one.name))[
            :WORST
        ],
    }


def _senders(stored: pl.DataFrame, column: str) -> list[Sender]:
    grouped = stored.group_by(column).agg(
        pl.len().alias("events"),
        (pl.col("outcome") == int(Outcome.DUPLICATE)).sum().alias("duplicates"),
        pl.col("near").sum().alias("near_duplicates"),
    )
    if column == "user_id":
        grouped = grouped.filter(pl.col("duplicates") + pl.col("near_duplicates") > 0)
    senders = [Sender(str(name), *numbers) for name, *numbers in grouped.iter_rows()]
    return sorted(senders, key=lambda one: (-one.share, one.name))
