"""`python -m tests.benchmarks.bench_rank`, under half a minute: what rank's slides and merges cost, and count's events.

CPU time throughout, of all threads. Final lists are checked against sums over the whole window by numpy alone; what count
announces, against a Counter.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.codec.container import COUNTS_SCHEMA, PLAYS_SCHEMA, read_container, write_container
from pipeline.codec.headers import HeaderList, PlaysHeaders
from pipeline.log.append import Appender
from pipeline.settings import load
from pipeline.topk.merge import SlidingTop
from pipeline.workers.count import CountLane

Longs = npt.NDArray[np.int64]
SETTINGS = load(pane_seconds=10, window_seconds=3600, grace_seconds=60, top_k=100)
PANE, PANES, PARTITIONS, K = 10_000, 360, SETTINGS.partitions, 100
START = 1_760_000_000_000
ARTISTS, SLIDES = 1_000_000, 40
OWN, POPULAR, LARGE = 4_000, 6_000, 100_000
EVENTS, BATCHES, RARE = 36_000, 12, 20_000


def cpu_ms(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU milliseconds of this process, and the answer."""
    start = time.process_time()
    answer = work()
    return 1000 * (time.process_time() - start), answer


class Plays:
    """Of each pane and partition artists (ascending) and plays. Each artist is played at least once a window."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(7)
        self.ids = self.random.choice(1 << 40, ARTISTS, replace=False)
        self.told: dict[int, list[tuple[Longs, Longs]]] = {}

    def of(self, pane: int) -> list[tuple[Longs, Longs]]:
        """Every pane's own artists, by turns, and popular ones; fresh each call, kept as what was said last."""
        turn = np.arange(pane * OWN, (pane + 1) * OWN) % ARTISTS
        own = np.array_split(turn, PARTITIONS)
        heard = [np.concatenate([part, self.random.zipf(1.2, POPULAR) % ARTISTS]) for part in own]
        self.told[pane] = [np.unique(self.ids[part], return_counts=True) for part in heard]
        return self.told[pane]

    def top(self, last: int) -> list[tuple[int, int]]:
        """The first K of the window whose last pane this is, all of it summed anew."""
        parts = [part for pane in range(max(0, last - PANES + 1), last + 1) for part in self.told[pane]]
        artists, plays = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        distinct, index = np.unique(artists, return_inverse=True)
        total = np.bincount(index, weights=plays).astype(np.int64)
        first = np.lexsort((distinct, -total))[:K]
        return list(zip(distinct[first].tolist(), total[first].tolist(), strict=True))


def announce(top: SlidingTop, pane: int, told: list[tuple[Longs, Longs]]) -> None:
    """What each partition says of this pane, which ends here for it."""
    for partition, (artists, plays) in enumerate(told):
        top.merge(partition, np.full(len(plays), START + pane * PANE), artists, plays, np.full(len(plays), pane))
        top.advance(partition, START + (pane + 1) * PANE - 1, pane)


def bench_rank() -> dict[str, Any]:
    """Slides of a window that is full, each after what the newest pane holds was announced."""
    plays, top = Plays(), SlidingTop(PARTITIONS, PANE, PANES * PANE, SETTINGS.rules.grace_ms, K)
    slides, merges, rows, shown = [], [], [], []
    for pane in range(PANES + 10 + SLIDES):
        told = plays.of(pane)
        merging, _ = cpu_ms(lambda told=told, pane=pane: announce(top, pane, told))
        sliding, finals = cpu_ms(lambda: list(top.finals()))
        if pane < PANES + 10:
            continue
        assert len(finals) == 1
        slides.append(sliding)
        merges.append(merging)
        rows.append(sum(len(artists) for artists, _ in told))
        shown.append(cpu_ms(top.provisional)[0])
        if pane % 8 == 0:
            last = (finals[0].window_end - START) // PANE - 1
            assert finals[0].places == plays.top(last), f"the list of pane {last}"
    window = range(pane - PANES, pane)
    distinct = len(np.unique(np.concatenate([part[0] for number in window for part in plays.told[number]])))
    return {
        "artists_in_window": distinct,
        "slides": len(slides),
        "slide_ms": {"median": float(np.median(slides)), "max": max(slides)},
        "slide_and_merge_ms": {"median": float(np.median(np.add(slides, merges)))},
        "merge_us_a_row": 1000 * sum(merges) / sum(rows),
        "provisional_ms": {"median": float(np.median(shown)), "max": max(shown)},
        **bench_merge(plays, top, pane),
    }


def bench_merge(plays: Plays, top: SlidingTop, last: int) -> dict[str, Any]:
    """Announcements of 100,000 rows over the seven panes that are open, all new at first, then all of a newer version."""
    panes = np.repeat(START + PANE * np.arange(last - 5, last + 2), LARGE // 7 + 1)[:LARGE]
    artists = np.concatenate([np.sort(plays.random.choice(plays.ids, LARGE // 7 + 1, replace=False)) for _ in range(7)])
    columns = panes, artists[:LARGE], np.ones(LARGE, np.int64)
    return {
        f"merge_100k_{name}_ms": cpu_ms(lambda version=version: top.merge(0, *columns, np.full(LARGE, version)))[0]
        for name, version in (("new", 10**6), ("newer", 10**6 + 1))
    }


class Kept(Appender):
    """Keeps what is appended instead of sending it."""

    def __init__(self) -> None:
        super().__init__("unused")
        self.values: list[bytes] = []

    async def append(
        self, topic: str, partition: int, value: bytes | None, headers: HeaderList, *,  # noqa: ARG002
        timestamp: int | None = None, key: bytes | None = None,  # noqa: ARG002
    ) -> int:  # fmt: skip
        self.values.append(value or b"")
        return len(self.values)


def played(random: np.random.Generator, ids: Longs, number: int) -> tuple[pl.DataFrame, PlaysHeaders]:
    """A batch of events: Zipf artists, half a minute out of order, one in ten a duplicate."""
    artists = random.zipf(1.1, 6 * EVENTS)
    times = np.sort(random.integers(0, 3 * PANE, EVENTS)) - random.integers(0, 3 * PANE, EVENTS) + START + number * 3 * PANE
    accepted = random.random(EVENTS) < 0.9
    rows = pl.DataFrame(
        {
            "event_time": times,
            "artist_id": ids[artists[artists <= RARE][:EVENTS]],
            "outcome": np.where(accepted, "accepted", "duplicate"),
            "event_id": pl.Series([b"0123456789abcdef"]).new_from_index(0, EVENTS),
        }
    )
    others = [
        pl.lit("x" if dtype == pl.String else 1).alias(name) for name, dtype in PLAYS_SCHEMA.items() if name not in rows
    ]
    rows = rows.with_columns(others).select(pl.col(name).cast(dtype) for name, dtype in PLAYS_SCHEMA.items())
    counts = (int(accepted.sum()), int((~accepted).sum()), 0, 0, 0, 0)
    first, rules = number * EVENTS, SETTINGS.rules.fingerprint
    return rows, PlaysHeaders(number, first, first + EVENTS - 1, counts, 0, 0, int(times.max()), rules)


def _cast(name: str, dtype: Any) -> pl.Expr:
    return pl.col(name).cast(pl.Int64).cast(dtype) if dtype == pl.Datetime else pl.col(name).cast(dtype)


def bench_count() -> dict[str, Any]:
    """From the value of a `plays` record to those of `artist-counts`, the best of five runs; reading them also alone."""
    random = np.random.default_rng(1)
    ids = random.choice(1 << 40, RARE + 1, replace=False)
    batches = [played(random, ids, number) for number in range(BATCHES)]
    values = [(write_container(rows), headers) for rows, headers in batches]

    async def counted() -> Kept:
        appender = Kept()
        lane = CountLane(SETTINGS, 0, appender)
        for number, (value, headers) in enumerate(values):
            since = lane._watermark
            changed = lane.count([lane.fold(number, headers, value)])
            await lane._announce(changed, headers.first, since)
        return appender

    names = ["event_time", "artist_id", "outcome"]
    runs = [cpu_ms(lambda: asyncio.run(counted())) for _ in range(5)]
    reading = min(cpu_ms(lambda: [read_container(value, PLAYS_SCHEMA, names) for value, _ in values])[0] for _ in range(5))
    check_counts([rows for rows, _ in batches], runs[0][1].values)
    whole = min(spent for spent, _ in runs)
    panes = len(np.unique(batches[1][0]["event_time"].to_physical().to_numpy() // PANE))
    return {
        "panes_a_batch": panes,
        "rows_a_batch": sum(read_container(value, COUNTS_SCHEMA).height for value in runs[0][1].values) // BATCHES,
        "count_us_an_event": 1000 * (whole - reading) / (EVENTS * BATCHES),
        "reading_us_an_event": 1000 * reading / (EVENTS * BATCHES),
    }


def check_counts(batches: list[pl.DataFrame], values: list[bytes]) -> None:
    """Each announcement holds, in order, what changed with the count so far."""
    model = Counter[tuple[int, int]]()
    for rows, value in zip(batches, values, strict=True):
        accepted = rows.filter(pl.col("outcome") == "accepted")
        times, artists = accepted["event_time"].to_physical().to_list(), accepted["artist_id"].to_list()
        changed = Counter((moment // PANE * PANE, artist) for moment, artist in zip(times, artists, strict=True))
        model.update(changed)
        found = read_container(value, COUNTS_SCHEMA)
        told = (found["pane"].to_physical().to_list(), found["artist_id"].to_list(), found["plays"].to_list())
        assert list(zip(*told, strict=True)) == [(*key, model[key]) for key in sorted(changed)]


def bench() -> dict[str, Any]:
    """`count` and `rank`, each name → figure (CPU)."""
    return {"count": bench_count(), "rank": bench_rank()}


def main() -> None:
    """Print them, as JSON with --json."""
    found = bench()
    if "--json" in sys.argv[1:]:
        print(json.dumps(found))
        return
    for part, figures in found.items():
        print(part, *(f"  {name}: {_shown(figure)}" for name, figure in figures.items()), sep="\n")


def _shown(figure: Any) -> str:
    if isinstance(figure, dict):
        return ", ".join(f"{name} {_shown(value)}" for name, value in figure.items())
    return f"{figure:.3f}" if isinstance(figure, float) else f"{figure:,}"


if __name__ == "__main__":
    main()
