"""What becomes of each event: a fold over one partition's log, row by row in effect, a batch at a time in fact.

    events, ticks ─► running watermark ─► late? ─► seen? ─► late for its pane? ─► too short? ─► a near-duplicate? ─► accepted
                                           remembered ids ┘                   remembered accepted rows ┘

No clock, no randomness, no dependence on where a batch begins or ends.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipeline.dedup.near import NONE, Listens, Near
from pipeline.dedup.seen import Seen
from pipeline.dedup.table import Halves, Longs, Rows
from pipeline.outcomes import Outcome
from pipeline.rules import Rules

_VECTOR_ROUNDS = 6
"""Occurrences of one id in one batch that are decided as columns; further ones row by row (a storm of one id)."""


@dataclass(slots=True)
class Memory:
    """The state of a partition as of `next_offset`: what its log says, folded. Watermark in epoch ms."""

    seen: Seen = field(default_factory=Seen)
    near: Near = field(default_factory=Near)
    watermark: int = 0
    next_offset: int = 0


@dataclass(frozen=True, slots=True)
class Events:
    """Valid events of one partition in log order, as columns of equal length. Times are epoch ms."""

    offset: Longs
    appended_at: Longs
    id_head: Halves
    id_tail: Halves
    played_at: Longs
    ms_played: Longs
    listens: Listens | None = None
    """The same rows for the near-duplicate rule; None where the rules have none."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """Per event: outcome, offset of the first sighting (its own, unless it is a duplicate or a near-duplicate), event time,
    and the watermark that it saw (itself included)."""

    outcome: npt.NDArray[np.uint8]
    first_offset: Longs
    event_time: Longs
    watermark: Longs


def decide(memory: Memory, events: Events, ticks: list[tuple[int, int]], next_offset: int, rules: Rules) -> Decisions:
    """Fold events and ticks (offset, capped clock) up to `next_offset` into the memory, and say what became of the events.

    Rules in order, first that fits: late (played before watermark - horizon), duplicate, late (event time before
    watermark - grace), skipped, suspect where the rules drop near-duplicates, accepted.
    """
    event_time = np.minimum(events.played_at, events.appended_at)
    watermark, memory.watermark = _watermarks(memory.watermark, events.offset, event_time, ticks)
    memory.next_offset = next_offset
    beyond_horizon = events.played_at < watermark - rules.horizon_ms
    oldest_slot = (watermark - rules.horizon_ms) // rules.slot_ms
    duplicate, first_offset = _sightings(memory.seen, events, beyond_horizon, oldest_slot, rules)
    outcome = np.full(len(event_time), Outcome.ACCEPTED, np.uint8)
    outcome[events.ms_played < rules.min_play_ms] = Outcome.SKIPPED
    outcome[event_time < watermark - rules.grace_ms] = Outcome.LATE
    outcome[duplicate] = Outcome.DUPLICATE
    outcome[beyond_horizon] = Outcome.LATE
    if rules.near_tolerance is not None:
        rows = np.flatnonzero(outcome == Outcome.ACCEPTED)
        assert events.listens is not None
        suspect_of = memory.near.judge(events.listens.take(rows), rules.near_tolerance)
        suspects = suspect_of != NONE
        first_offset[rows[suspects]] = suspect_of[suspects]
        if rules.near_duplicates == "drop":
            outcome[rows[suspects]] = Outcome.SUSPECT
    return Decisions(outcome, first_offset, event_time, watermark)


def forget(memory: Memory, rules: Rules) -> None:
    """Drop ids and accepted rows that no later event can meet."""
    memory.seen.forget_below((memory.watermark - rules.horizon_ms) // rules.slot_ms)
    memory.near.forget_before(rules.near_since(memory.watermark))


def _watermarks(before: int, offset: Longs, event_time: Longs, ticks: list[tuple[int, int]]) -> tuple[Longs, int]:
    """The watermark that each event sees, and the one after all events and ticks."""
    raised = event_time.copy()
    after = before
    for tick_offset, clock in ticks:
        following = int(np.searchsorted(offset, tick_offset))
        if following < len(raised):
            raised[following] = max(int(raised[following]), clock)
        else:
            after = max(after, clock)
    running = np.maximum(np.maximum.accumulate(raised), before) if len(raised) else raised
    return running, max(after, int(running[-1])) if len(running) else after


def _sightings(
    seen: Seen, events: Events, beyond_horizon: npt.NDArray[np.bool_], oldest_slot: Longs, rules: Rules
) -> tuple[npt.NDArray[np.bool_], Longs]:
    """Which events are duplicates, and the first offset of each; the others are remembered.

    An id's rows depend on each other, rows of different ids don't: so the k-th row of every id is decided in round k.
    """
    entries = seen.entries(events.id_head, events.id_tail)
    slot = (events.played_at // rules.slot_ms).astype(np.int32)
    duplicate = np.zeros(len(entries), np.bool_)
    first_offset = events.offset.copy()
    pending: Rows = np.arange(len(entries))
    for _round in range(_VECTOR_ROUNDS):
        if not len(pending):
            return duplicate, first_offset
        first = seen.firsts(entries, pending)
        rows, pending = pending[first], pending[~first]
        entry = entries[rows]
        hit = ~beyond_horizon[rows] & (seen.slot[entry] >= oldest_slot[rows])
        duplicate[rows[hit]] = True
        first_offset[rows[hit]] = seen.offset[entry[hit]]
        seen.sight(entry[~hit], slot[rows[~hit]], events.offset[rows[~hit]])
    for row in pending.tolist():
        at = entries[row]
        if not beyond_horizon[row] and seen.slot[at] >= oldest_slot[row]:
            duplicate[row] = True
            first_offset[row] = seen.offset[at]
        elif slot[row] > seen.slot[at]:
            seen.slot[at] = slot[row]
            seen.offset[at] = events.offset[row]
    return duplicate, first_offset
