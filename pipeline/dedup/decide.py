"""What becomes of each event: a fold over one partition's log, row by row in effect, a batch at a time in fact.

    events, ticks ─► running watermark ─► late? ─► seen? ─► late for its pane? ─► too short? ─► a near-duplicate? ─► accepted
                                           remembered ids ┘                   remembered accepted rows ┘

No clock, no randomness, no dependence on where a batch begins or ends.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipeline.dedup.index import Halves, Longs, Rows
from pipeline.dedup.near import NONE, Listens, Near
from pipeline.dedup.seen import Seen
from pipeline.dedup.table import Flags
from pipeline.outcomes import Outcome
from pipeline.rules import Rules


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
    duplicate, first_offset = _sightings(memory.seen, events, beyond_horizon, watermark, rules)
    outcome = np.where(events.ms_played < rules.min_play_ms, np.uint8(Outcome.SKIPPED), np.uint8(Outcome.ACCEPTED))
    np.putmask(outcome, event_time < watermark - rules.grace_ms, Outcome.LATE)
    np.putmask(outcome, duplicate, Outcome.DUPLICATE)
    np.putmask(outcome, beyond_horizon, Outcome.LATE)
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


def _sightings(seen: Seen, events: Events, beyond_horizon: Flags, watermark: Longs, rules: Rules) -> tuple[Flags, Longs]:
    """Which events are duplicates, and the first offset of each; the others are remembered.

    1. rows of slots that are too old are left out, and what is too old for all rows is dropped: neither can be met any more
    2. the first row of an id that isn't remembered is no duplicate, and is remembered with that
    3. another row is a duplicate unless it, or what is remembered, is too old
    4. of rows that are left, hardly ever any, some replace what is remembered
    """
    duplicate, first_offset = np.zeros(len(watermark), np.bool_), events.offset.copy()
    if not len(watermark):
        return duplicate, first_offset
    slot = (events.played_at // rules.slot_ms).astype(np.int32)
    rows: slice | Rows = slice(None)
    if beyond_horizon.any():
        rows = np.flatnonzero(slot >= (watermark - rules.horizon_ms) // rules.slot_ms)
    seen.forget_below((int(watermark[0]) - rules.horizon_ms) // rules.slot_ms)
    probe = seen.sight(events.id_head[rows], events.id_tail[rows], slot[rows], events.offset[rows])
    others, entry = np.arange(len(watermark))[rows][probe.others], probe.entry[probe.others]
    oldest = (watermark[others] - rules.horizon_ms) // rules.slot_ms
    in_time, stands = ~beyond_horizon[others], seen.slot(entry)
    hit = in_time & (stands >= oldest)
    duplicate[others[hit]] = True
    first_offset[others[hit]] = seen.offset[entry[hit]]
    replacing: dict[int, int] = {}  # entry → which of `others` stands for it now
    for at in np.flatnonzero(~hit & (slot[others] > stands)).tolist():
        row, before = others[at], others[replacing.get(entry[at], at)]
        if before != row and in_time[at] and slot[before] >= oldest[at]:
            duplicate[row], first_offset[row] = True, events.offset[before]
        elif before == row or slot[row] > slot[before]:
            replacing[entry[at]] = at
    if replacing:
        which = np.fromiter(replacing.values(), np.intp)
        row = others[which]
        seen.move(entry[which], probe.place[probe.others[which]], slot[row], events.offset[row])
    return duplicate, first_offset
