"""The fold against a row-by-row model written from the rules alone."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.decide import Events, Memory, decide, forget
from pipeline.outcomes import Outcome
from pipeline.rules import Rules

# Small enough that random times meet every edge.
RULES = Rules(
    partitions=1, horizon_ms=100, grace_ms=30, slot_ms=10, pane_ms=10, max_ahead_ms=20, min_play_ms=5, plausibility="-"
)
T0 = 1_000_000


@dataclass
class Row:
    """An event, or a tick where `event_id` is None (then `played_at` is its clock)."""

    event_id: int | None
    played_at: int
    appended_at: int
    ms_played: int


@dataclass
class Model:
    """One row at a time, a dictionary, no batches."""

    watermark: int = 0
    remembered: dict[int, tuple[int, int]] = field(default_factory=dict)  # id → (slot, offset)

    def see(self, offset: int, row: Row) -> tuple[str, int] | None:
        self.watermark = max(self.watermark, min(row.played_at, row.appended_at))
        if row.event_id is None:
            return None
        bound = self.watermark - RULES.horizon_ms
        slot, first = self.remembered.get(row.event_id, (None, -1))
        if row.played_at >= bound and slot is not None and slot >= bound // RULES.slot_ms:
            return "duplicate", first
        if slot is None or row.played_at // RULES.slot_ms > slot:
            self.remembered[row.event_id] = (row.played_at // RULES.slot_ms, offset)
        late = row.played_at < bound or min(row.played_at, row.appended_at) < self.watermark - RULES.grace_ms
        return ("late" if late else "skipped" if row.ms_played < RULES.min_play_ms else "accepted"), offset


rows = st.builds(
    Row,
    event_id=st.one_of(st.integers(0, 6), st.integers(0, 6), st.none()),
    played_at=st.integers(T0, T0 + 260),
    appended_at=st.integers(T0 + 100, T0 + 300),
    ms_played=st.integers(3, 7),
)


def decided(memory: Memory, part: list[Row], start: int) -> list[tuple[str, int]]:
    """Outcomes by the code under test, of one batch."""
    events = [(start + at, row) for at, row in enumerate(part) if row.event_id is not None]
    ticks = [(start + at, min(row.played_at, row.appended_at)) for at, row in enumerate(part) if row.event_id is None]

    def column(values: list[int], dtype: type = np.int64) -> np.ndarray:
        return np.array(values, dtype)

    decisions = decide(
        memory,
        Events(
            offset=column([offset for offset, _ in events]),
            appended_at=column([row.appended_at for _, row in events]),
            id_head=column([row.event_id or 0 for _, row in events], np.uint64),
            id_tail=column([7] * len(events), np.uint64),
            played_at=column([row.played_at for _, row in events]),
            ms_played=column([row.ms_played for _, row in events]),
        ),
        ticks,
        start + len(part),
        RULES,
    )
    labels = [Outcome(code).label for code in decisions.outcome.tolist()]
    return list(zip(labels, decisions.first_offset.tolist(), strict=True))


@settings(max_examples=400, deadline=None)
@given(st.lists(rows, max_size=60), st.lists(st.integers(1, 25), min_size=1), st.data())
def test_any_split_into_batches_and_any_forgetting_gives_what_the_rules_say(
    log: list[Row], sizes: list[int], data: st.DataObject
) -> None:
    model, memory = Model(), Memory()
    expected = [model.see(offset, row) for offset, row in enumerate(log)]
    found: list[tuple[str, int]] = []
    at, batch = 0, 0
    while at < len(log):
        size = sizes[batch % len(sizes)]
        found += decided(memory, log[at : at + size], at)
        at, batch = at + size, batch + 1
        if data.draw(st.booleans()):
            forget(memory, RULES)
    assert found == [outcome for outcome in expected if outcome is not None]
    assert memory.watermark == model.watermark


def one_by_one(log: list[Row]) -> list[tuple[str, int]]:
    return decided(Memory(), log, 0)


def at(minute: int, event_id: int = 1, ms_played: int = 10) -> Row:
    """Played and appended at the same time."""
    return Row(event_id, T0 + minute, T0 + minute, ms_played)


def test_a_copy_counts_as_duplicate_up_to_the_horizon_s_slot() -> None:
    #   id 1 played at 0 ─────────── watermark 100: bound 0, slot of 0 still lives
    #                    ─────────── watermark 110: bound 10, its slot is gone
    late_copy = Row(1, T0 + 9, T0 + 300, 10)
    assert one_by_one([at(0), at(100, 2), late_copy])[2] == ("duplicate", 0)
    assert one_by_one([at(0), at(110, 2), late_copy])[2] == ("late", 2)


def test_an_event_exactly_as_old_as_the_grace_still_counts() -> None:
    #   watermark 50 ── grace 30 ── event time 20 counts, 19 does not
    assert one_by_one([at(50, 1), Row(2, T0 + 20, T0 + 50, 10)])[1][0] == "accepted"
    assert one_by_one([at(50, 1), Row(2, T0 + 19, T0 + 50, 10)])[1][0] == "late"


def test_a_late_event_is_remembered_so_its_copy_is_a_duplicate() -> None:
    late = Row(2, T0 + 19, T0 + 50, 10)
    assert one_by_one([at(50, 1), late, late])[2] == ("duplicate", 1)


def test_a_clock_that_runs_ahead_moves_the_watermark_only_to_the_broker_s_time() -> None:
    ahead = Row(1, T0 + 200, T0 + 100, 10)
    assert one_by_one([ahead, Row(2, T0 + 80, T0 + 101, 10)])[1][0] == "accepted"


def test_a_tick_closes_time_for_what_follows_it_and_not_for_what_came_before() -> None:
    tick = Row(None, T0 + 90, T0 + 300, 0)
    assert one_by_one([at(20, 1), tick, at(20, 2)]) == [("accepted", 0), ("late", 2)]


def test_a_short_play_is_skipped_and_its_copy_a_duplicate() -> None:
    assert one_by_one([at(0, 1, 4), at(0, 1, 4), at(0, 2, 5)]) == [("skipped", 0), ("duplicate", 0), ("accepted", 2)]


def test_a_storm_of_one_id_in_one_batch_is_one_event() -> None:
    outcomes = one_by_one([at(0)] * 5000)
    assert outcomes[0] == ("accepted", 0)
    assert set(outcomes[1:]) == {("duplicate", 0)}
