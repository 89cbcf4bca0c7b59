"""How far apart copies were: by how much the watermark had gone on between the first sighting and the copy."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from pipeline.verify.truth import PLACE

BINS: Mapping[str, int] = {
    "at once": 0,
    "1 s": 1_000,
    "10 s": 10_000,
    "1 min": 60_000,
    "10 min": 600_000,
    "1 h": 3_600_000,
    "2 h": 7_200_000,
    "6 h": 21_600_000,
    "more": 1 << 62,
}
"""Upper bounds, inclusive, ms."""


def distances(stored: pl.DataFrame, copies: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Kind → bin → copies. `copies`: partition, offset, kind and first_offset, where the event was sighted first.

    The watermark is taken from stored events alone (not from ticks and skipped ones), so it may be seconds behind.
    """
    clock = stored.select(*PLACE, pl.col("event_time").cum_max().over("partition").alias("clock")).sort(PLACE)
    first = copies.sort("first_offset").join_asof(
        clock.sort("offset"), left_on="first_offset", right_on="offset", by="partition", suffix="_at", check_sortedness=False
    )
    both = first.sort("offset").join_asof(
        clock.sort("offset"), on="offset", by="partition", suffix="_now", check_sortedness=False
    )
    gaps = both.select(gap=(pl.col("clock_now") - pl.col("clock")).fill_null(0))["gap"]
    names = list(BINS)
    bins = pl.Series("bin", names).gather(np.searchsorted(list(BINS.values()), gaps.to_numpy()))
    found: dict[str, dict[str, int]] = {}
    for kind, name, number in both.with_columns(bins).group_by("kind", "bin").len().sort("kind").iter_rows():
        found.setdefault(kind, dict.fromkeys(names, 0))[name] = number
    return found
