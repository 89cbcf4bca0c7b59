"""What the engine holds of a run, as the state needs it: cheap however much that is.

batches ─► totals, watermarks    plays, duplicates ─► copies by kind    artist_counts ─► top    top_artists ─► freshness
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.api.copies import CopyFold
from pipeline.api.paced import Paced
from pipeline.api.totals import BatchFold, PartitionTotals
from pipeline.settings import Settings
from pipeline.store.ask import Asked
from pipeline.store.queries import Top, newest_final, top

PLACES = 15


@dataclass(frozen=True, slots=True)
class Stored:
    """As of `at` (seconds of the monotonic clock). Times in epoch ms, 0 where there is none.

    `top` is older by `top_age_seconds`, at most `top_stands_seconds` (the more it costs, the longer it stands). `copies`:
    kind → number, of all but `copies_pending` source offsets.
    """

    at: float
    partitions: dict[int, PartitionTotals]
    totals: dict[str, int]
    watermark: int
    top: Top
    top_age_seconds: float
    top_stands_seconds: float
    copies: dict[str, int]
    copies_pending: int
    newest_window_end: int
    newest_final_end: int


class StoreLook:
    """Called, it looks. Keeps what it has folded."""

    def __init__(self, settings: Settings, asked: Asked, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._asked, self._clock = settings, asked, clock
        self._batches, self._copies = BatchFold(), CopyFold()
        self._top = Paced(lambda: top(settings, PLACES, settings.window_seconds, None, asked), clock)
        self._sharded_final = Paced(lambda: newest_final(settings, 1, None, asked), clock)
        self._newest = self._final = 0

    def __call__(self) -> Stored:
        """Raises UnavailableError where the engine is away."""
        settings = self._settings
        self._batches.read(settings, self._asked)
        at = self._clock()
        ends = {partition: one.next for partition, one in self._batches.partitions.items()}
        self._copies.read(settings, self._asked, ends)
        self._see_windows()
        found, age = self._top()
        assert found is not None
        return Stored(
            at=at,
            partitions=dict(self._batches.partitions),
            totals=self._batches.total(),
            watermark=self._batches.watermark(settings.partitions),
            top=found,
            top_age_seconds=age,
            top_stands_seconds=self._top.stands_seconds,
            copies=dict(self._copies.counts),
            copies_pending=self._copies.pending(ends),
            newest_window_end=self._newest,
            newest_final_end=self._final,
        )

    def _see_windows(self) -> None:
        """Ends only grow, and a list that was final stays so: what lies below the newest final one need not be read."""
        (row,) = self._asked(
            self._settings,
            """
            SELECT toUnixTimestamp64Milli(max(window_end)) AS newest,
                toUnixTimestamp64Milli(maxIf(window_end, final)) AS newest_final
            FROM top_artists WHERE window_end >= fromUnixTimestamp64Milli({known:Int64}, 'UTC')
            """,
            {"known": self._final},
        )
        self._newest = max(self._newest, row["newest"])
        if self._settings.shards == 1:
            self._final = max(self._final, row["newest_final"])
        else:  # one shard's list says nothing of the others'
            found, _ = self._sharded_final()
            self._final = max(self._final, found.end_ms if found else 0)
