"""What other settings would have done to a run: its source log folded again, by the rules that decided it, once a setting.

source log ─► decoded, kept as columns ─► decide under each tolerance and each horizon ─► judged by the ledger
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipeline.codec.decode import Refused, Tick
from pipeline.dedup.decide import Memory, decide, forget
from pipeline.errors import RefusedError
from pipeline.log.batch import events_of
from pipeline.log.decoded import decoded_log, source_ranges
from pipeline.outcomes import Outcome
from pipeline.rules import Rules
from pipeline.settings import Settings
from pipeline.verify.truth import CROSS_SERVICE, PLACE, truth_of
from pipeline.verify.verdict import Truth

BATCH_ROWS = 20_000
_COLUMNS = ("offset", "appended_at", "id_head", "id_tail", "played_at", "ms_played", "user_id", "track_id", "service")


@dataclass(frozen=True, slots=True)
class PartitionLog:
    """A partition's source log as columns, ticks and refused records beside them."""

    events: pl.DataFrame
    ticks: list[Tick]
    refused: list[Refused]


@dataclass(frozen=True, slots=True)
class Folded:
    """What became of a log's records (partition, offset, outcome, near), and the ids remembered at most with their bytes,
    over all partitions."""

    outcomes: pl.DataFrame
    remembered: int
    remembered_bytes: int


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What a tolerance would have done. Shares are None where nothing was there to be judged, or no ledger to judge by."""

    seconds: int
    suspects: int
    precision: float | None
    recall: float | None
    falsely_suspected: int | None
    look_alikes: dict[str, int]
    """Of the falsely suspected, by kind of original."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """What a horizon would have done. `duplicates`: recognised; `leaked`: copies that came when their first sighting was
    forgotten, which were late (None without a ledger); ids remembered and their bytes at most."""

    seconds: int
    duplicates: int
    leaked: int | None
    remembered: int
    remembered_bytes: int


def read_log(settings: Settings, progress: Callable[[int, int], None]) -> list[PartitionLog]:
    """The run's source log as far as it reaches now, all of it in memory: some 80 bytes an event.

    Raises RefusedError where there is none, UnavailableError.
    """
    ranges = source_ranges(settings)
    return asyncio.run(_read(settings, ranges, progress))


async def _read(
    settings: Settings, ranges: Sequence[tuple[int, int]], progress: Callable[[int, int], None]
) -> list[PartitionLog]:
    frames: list[list[pl.DataFrame]] = [[] for _ in ranges]
    ticks: list[list[Tick]] = [[] for _ in ranges]
    refused: list[list[Refused]] = [[] for _ in ranges]
    done, total = 0, sum(high - low for low, high in ranges)
    async for partition, decoded in decoded_log(settings, ranges):
        end = ranges[partition][1]
        frames[partition].append(decoded.events.filter(pl.col("offset") < end).select(_COLUMNS))
        ticks[partition] += [tick for tick in decoded.ticks if tick.offset < end]
        refused[partition] += [entry for entry in decoded.refused if entry.offset < end]
        done += min(end, decoded.last + 1) - decoded.first
        progress(done, total)
    if not any(frame.height for some in frames for frame in some):
        raise RefusedError(f"run {settings.run} has no events yet: publish some, then sweep")
    joined = [pl.concat(some).rechunk() if some else frames[0][0].clear() for some in frames]
    return [PartitionLog(*parts) for parts in zip(joined, ticks, refused, strict=True)]


def fold(logs: Sequence[PartitionLog], rules: Rules) -> Folded:
    """Decide all of it under these rules. Pure."""
    frames, ids, size = [], 0, 0
    for partition, log in enumerate(logs):
        memory, most, most_bytes = Memory(), 0, 0
        for events, ticks, next_offset in _batches(log):
            decisions = decide(memory, events_of(events, rules), ticks, next_offset, rules)
            forget(memory, rules)
            most, most_bytes = max(most, memory.seen.size), max(most_bytes, memory.seen.nbytes)
            near = (decisions.first_offset != events["offset"].to_numpy()) & (decisions.outcome != Outcome.DUPLICATE)
            frames.append(_outcomes(partition, events["offset"], decisions.outcome, near))
        invalid = pl.Series([entry.offset for entry in log.refused], dtype=pl.Int64)
        frames.append(
            _outcomes(partition, invalid, np.full(len(invalid), Outcome.INVALID, np.uint8), np.zeros(len(invalid), bool))
        )
        ids, size = ids + most, size + most_bytes
    return Folded(pl.concat(frames), ids, size)


def tolerances(logs: Sequence[PartitionLog], ledger: pl.DataFrame | None, rules: Iterable[Rules]) -> list[Tolerance]:
    """Each of the rules for near-duplicates, judged by the ledger if there is one."""
    found = []
    for one in rules:
        folded, tolerance = fold(logs, one), one.near_tolerance_ms // 1000
        suspects, truth = folded.outcomes.filter("near").height, _truth(ledger, folded)
        if truth is None:
            found.append(Tolerance(tolerance, suspects, None, None, None, {}))
        else:
            recall = next((kind.recall for kind in truth.kinds if kind.kind == CROSS_SERVICE), None)
            false = {kind.kind: kind.wrongly_suspected for kind in truth.kinds if kind.is_original}
            found.append(Tolerance(tolerance, suspects, truth.near_precision, recall, sum(false.values()), false))
    return found


def horizons(logs: Sequence[PartitionLog], ledger: pl.DataFrame | None, rules: Iterable[Rules]) -> list[Horizon]:
    """Each of the rules with its horizon, judged by the ledger if there is one."""
    found = []
    for one in rules:
        folded = fold(logs, one)
        duplicates, truth = (
            folded.outcomes.filter(pl.col("outcome") == int(Outcome.DUPLICATE)).height,
            _truth(ledger, folded),
        )
        leaked = None
        if truth is not None:
            copies = [kind for kind in truth.kinds if not kind.is_original and kind.kind not in (CROSS_SERVICE, "poison")]
            leaked = sum(kind.late + kind.missed for kind in copies)
        found.append(Horizon(one.horizon_ms // 1000, duplicates, leaked, folded.remembered, folded.remembered_bytes))
    return found


def _batches(log: PartitionLog) -> Iterator[tuple[pl.DataFrame, list[tuple[int, int]], int]]:
    """Events, ticks (offset, capped clock) and the offset behind them, batch by batch."""
    ticks = [(tick.offset, min(tick.clock, tick.appended_at)) for tick in log.ticks]
    at = 0
    for start in range(0, max(log.events.height, 1), BATCH_ROWS):
        events = log.events.slice(start, BATCH_ROWS)
        is_last = start + BATCH_ROWS >= log.events.height
        next_offset = max([*events["offset"].tail(1), -1]) + 1
        until = len(ticks) if is_last else at
        while until < len(ticks) and ticks[until][0] < next_offset:
            until += 1
        yield events, ticks[at:until], next_offset
        at = until


def _outcomes(partition: int, offset: pl.Series, outcome: np.ndarray, near: np.ndarray) -> pl.DataFrame:
    columns = {"offset": offset, "outcome": pl.Series(outcome, dtype=pl.UInt8).cast(pl.Int64), "near": pl.Series(near)}
    return pl.DataFrame(columns).select(pl.lit(partition, pl.Int64).alias("partition"), pl.all())


def _truth(ledger: pl.DataFrame | None, folded: Folded) -> Truth | None:
    if ledger is None:
        return None
    known = ledger.filter(pl.col("status") == "acknowledged").select(*PLACE, "event_id", "kind")
    return truth_of(ledger, known.join(folded.outcomes, on=PLACE), 0, [])
