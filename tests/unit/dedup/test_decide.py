"""The fold against a row-by-row model written from the rules alone."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.dedup.decide import Events, Memory, decide, forget
from pipeline.dedup.near import Listens
from pipeline.outcomes import Outcome
from pipeline.rules import Rules

# Small enough that random times meet every edge.
RULES = Rules(
    partitions=1, horizon_ms=100, grace_ms=30, slot_ms=10, pane_ms=10, max_ahead_ms=20, min_play_ms=5, plausibility="-"
)
NEAR_RULES = {mode: replace(RULES, near_duplicates=mode, near_tolerance_ms=8) for mode in ("off", "mark", "drop")}
T0 = 1_000_000


@dataclass
class Row:
    """An event, or a tick where `event_id` is None (then `played_at` is its clock)."""

    event_id: int | None
    played_at: int
    appended_at: int
    ms_played: int
    listen: tuple[int, int] = (1, 1)
    """User and track."""
    service: str = "a"


@dataclass
class Model:
    """One row at a time, a dictionary, no batches, nothing forgotten."""

    near: str = "off"
    watermark: int = 0
    accepted: list[tuple[int, Row]] = field(default_factory=list)  # what is no near-duplicate
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
        if late or row.ms_played < RULES.min_play_ms:
            return ("late" if late else "skipped"), offset
        near = [
            (abs(earlier.played_at - row.played_at), place)
            for place, earlier in self.accepted
            if (earlier.listen, earlier.service != row.service) == (row.listen, True)
        ]
        distance, place = min(near, default=(9, -1))
        if self.near == "off" or distance > 8:
            self.accepted.append((offset, row))
            return "accepted", offset
        return ("suspect" if self.near == "drop" else "accepted"), place


rows = st.builds(
    Row,
    event_id=st.one_of(st.integers(0, 6), st.integers(0, 6), st.none()),
    played_at=st.integers(T0, T0 + 260),
    appended_at=st.integers(T0 + 100, T0 + 300),
    ms_played=st.integers(3, 7),
    listen=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    service=st.sampled_from("abc"),
)
resent = st.builds(
    Row,
    event_id=st.integers(0, 3),
    played_at=st.one_of(st.integers(T0, T0 + 1_000), st.integers(0, 2 * T0)),
    appended_at=st.integers(T0, T0 + 1_000),
    ms_played=st.just(5),
)
"""A few ids, again and again within a batch and over several horizons, some with clocks that are absurdly wrong."""


@st.composite
def edges(draw: st.DrawFn) -> list[Row]:
    """Two ids, played around the horizon of what came before, or after it, or ahead of the broker's time."""
    log, latest = list[Row](), T0
    for _ in range(draw(st.integers(1, 40))):
        played_at = latest + draw(st.one_of(st.integers(-112, -88), st.integers(0, 30)))
        appended_at = max(latest, played_at - draw(st.sampled_from([0, 20])))
        log.append(Row(draw(st.integers(1, 2)), played_at, appended_at, 10))
        latest = max(latest, min(played_at, appended_at))
    return log


close = st.builds(
    Row,
    event_id=st.integers(0, 40),
    played_at=st.integers(T0, T0 + 40),
    appended_at=st.integers(T0 + 35, T0 + 45),
    ms_played=st.integers(4, 9),
    listen=st.tuples(st.just(1), st.integers(1, 2)),
    service=st.sampled_from("abc"),
)
"""Reports that lie close enough together for the near-duplicate rule."""


def decided(memory: Memory, part: list[Row], start: int, rules: Rules = RULES) -> list[tuple[str, int]]:
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
            listens=Listens(
                offset=column([offset for offset, _ in events]),
                user_id=column([row.listen[0] for _, row in events]),
                track_id=column([row.listen[1] for _, row in events]),
                played_at=column([row.played_at for _, row in events]),
                service=column(["cab".index(row.service) for _, row in events], np.int32),
                services=("c", "a", "b"),
            ),
        ),
        ticks,
        start + len(part),
        rules,
    )
    labels = [Outcome(code).label for code in decisions.outcome.tolist()]
    return list(zip(labels, decisions.first_offset.tolist(), strict=True))


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("mode", ["off", "mark", "drop"])
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(st.lists(rows, max_size=60), st.lists(resent, max_size=60), edges(), st.lists(close, max_size=60)),
    st.lists(st.integers(1, 25), min_size=1),
    st.data(),
)
def test_any_split_into_batches_and_any_forgetting_gives_what_the_rules_say(
    mode: str, log: list[Row], sizes: list[int], data: st.DataObject
) -> None:
    model, memory = Model(mode), Memory()
    expected = [model.see(offset, row) for offset, row in enumerate(log)]
    found: list[tuple[str, int]] = []
    at, batch = 0, 0
    while at < len(log):
        size = sizes[batch % len(sizes)]
        found += decided(memory, log[at : at + size], at, NEAR_RULES[mode])
        at, batch = at + size, batch + 1
        if data.draw(st.booleans()):
            memory.near._lasting = -1000  # forget whatever may be forgotten, however little it is
            forget(memory, NEAR_RULES[mode])
        if data.draw(st.booleans()):
            memory.seen._reindex(0)
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


def test_what_is_too_old_is_no_duplicate_even_of_what_still_lives_in_its_slot() -> None:
    #   watermark 105: bound 5, in the slot of 0, which lives; what was played at 2 is too old, and at 7 is not
    log = [at(0), at(105, 2), Row(1, T0 + 2, T0 + 105, 10), Row(1, T0 + 7, T0 + 105, 10)]
    assert one_by_one(log)[2:] == [("late", 2), ("duplicate", 0)]


def test_an_older_sighting_never_replaces_a_later_one_within_a_batch() -> None:
    #   id 1 at 0, expired by 2 at 115 (bound 15) ── again at 25, ahead of 12, too old itself but of the slot that lives
    log = [at(0), at(115, 2), Row(1, T0 + 25, T0 + 115, 10), Row(1, T0 + 12, T0 + 115, 10), at(125, 3), at(125, 1)]
    assert one_by_one(log)[2:4] == [("late", 2), ("late", 3)]
    assert one_by_one(log)[5] == ("duplicate", 2)


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


def test_absurdly_old_times_cost_no_memory() -> None:
    memory = Memory()
    decided(memory, [at(0)], 0)
    before = memory.seen.nbytes
    old = [Row(2 + number, 10 * number, T0, 10) for number in range(5_000)]  # each of a slot of its own
    assert set(decided(memory, old, 1)) == {("late", 1 + number) for number in range(5_000)}
    assert (memory.seen.size, memory.seen.nbytes) == (1, before)


def test_a_storm_of_one_id_in_one_batch_is_one_event() -> None:
    outcomes = one_by_one([at(0)] * 5000)
    assert outcomes[0] == ("accepted", 0)
    assert set(outcomes[1:]) == {("duplicate", 0)}


def reported(minute: int, event_id: int, service: str, track: int = 1) -> Row:
    return replace(at(minute, event_id), service=service, listen=(1, track))


def near(log: list[Row], mode: str = "drop") -> list[tuple[str, int]]:
    return decided(Memory(), log, 0, NEAR_RULES[mode])


def test_another_service_s_report_of_a_listen_is_suspect_up_to_the_tolerance() -> None:
    #   a reports at 0 ── tolerance 8 ── b at 8 is taken for the same listen, at 9 for another
    assert near([reported(0, 1, "a"), reported(8, 2, "b")]) == [("accepted", 0), ("suspect", 0)]
    assert near([reported(0, 1, "a"), reported(9, 2, "b")])[1] == ("accepted", 1)
    assert near([reported(8, 1, "a"), reported(0, 2, "b")])[1] == ("suspect", 0)


def test_where_near_duplicates_are_marked_they_count_and_name_the_row_they_repeat() -> None:
    assert near([reported(0, 1, "a"), reported(8, 2, "b")], "mark") == [("accepted", 0), ("accepted", 0)]
    assert near([reported(0, 1, "a"), reported(8, 2, "b")], "off") == [("accepted", 0), ("accepted", 1)]


def test_a_song_on_repeat_and_another_track_are_no_near_duplicates() -> None:
    assert {outcome for outcome, _ in near([reported(second, second, "a") for second in range(0, 20, 4)])} == {"accepted"}
    assert near([reported(0, 1, "a"), reported(1, 2, "b", track=2)])[1] == ("accepted", 1)


def test_a_suspect_makes_no_suspects() -> None:
    #   a at 0, b at 6 is suspect of it, c at 12 is within the tolerance of b only
    assert near([reported(0, 1, "a"), reported(6, 2, "b"), reported(12, 3, "c")])[2] == ("accepted", 2)


def test_of_several_rows_the_nearest_is_meant_and_of_equally_near_ones_the_earliest() -> None:
    log = [reported(0, 1, "a"), reported(10, 2, "a"), reported(4, 3, "b"), reported(5, 4, "b")]
    assert near(log)[2:] == [("suspect", 0), ("suspect", 0)]
    assert near([reported(0, 1, "a"), reported(10, 2, "a"), reported(6, 3, "b")])[2] == ("suspect", 1)
    assert near([reported(0, 1, "a"), reported(0, 2, "a"), reported(4, 3, "b")])[2] == ("suspect", 0)


def test_a_copy_of_a_suspect_is_a_duplicate_of_it() -> None:
    assert near([reported(0, 1, "a"), reported(8, 2, "b"), reported(8, 2, "b")])[2] == ("duplicate", 1)


def test_what_was_skipped_or_late_has_no_near_duplicates() -> None:
    short = replace(reported(0, 1, "a"), ms_played=4)
    assert near([short, reported(1, 2, "b")])[1] == ("accepted", 1)
    late = replace(reported(0, 1, "a"), appended_at=T0 + 50)
    assert near([at(50, 9), late, replace(reported(21, 2, "b"), appended_at=T0 + 51)])[1:] == [("late", 1), ("accepted", 2)]


def test_rows_that_no_near_duplicate_can_meet_any_more_are_forgotten() -> None:
    memory = Memory()
    for minute in range(0, 60_000, 3):  # the watermark passes them by grace + tolerance = 38
        decided(memory, [reported(minute, minute, "a", track=minute)], minute // 3, NEAR_RULES["mark"])
        memory.near.forget_before(NEAR_RULES["mark"].near_since(memory.watermark))
    assert memory.near.size < 1_200
