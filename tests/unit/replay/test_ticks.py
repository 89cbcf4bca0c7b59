"""What the new partitions may hear of the time: the least that every old one has said."""

from hypothesis import given
from hypothesis import strategies as st

from producers.replay.ticks import TickMinimum

NOON = 1_760_000_000_000
STEPS = st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 2), st.integers(0, 9))), max_size=40)
"""None: a record; else a tick: old partition, clock."""


@given(STEPS)
def test_before_each_record_the_tick_written_is_the_minimum_over_the_old_partitions(
    steps: list[tuple[int, int] | None],
) -> None:
    ticks = TickMinimum([0, 0, 0])
    shown: dict[int, list[int]] = {0: [], 1: [], 2: []}
    written: list[int] = []
    for number, step in enumerate(steps):
        if step:
            partition, clock = step
            ticks.show(partition, NOON + clock, NOON + 100 + number)
            shown[partition].append(NOON + clock)
            continue
        if due := ticks.take():
            clock, appended_at = due
            assert clock <= appended_at
            written.append(clock)
        heard = min(max(clocks, default=0) for clocks in shown.values())
        assert (written[-1] if written else 0) == heard
    assert written == sorted(set(written))


def test_a_tick_is_dated_by_the_record_that_moved_the_minimum() -> None:
    ticks = TickMinimum([0, 0])
    ticks.show(0, NOON, NOON + 1)
    assert ticks.take() is None
    ticks.show(1, NOON + 10, NOON + 20)
    assert ticks.take() == (NOON, NOON + 20)
    assert ticks.take() is None
    ticks.show(1, NOON + 11, NOON + 30)
    assert ticks.take() is None


def test_of_two_ticks_with_nothing_between_only_the_later_is_written() -> None:
    ticks = TickMinimum([0])
    ticks.show(0, NOON, NOON + 1)
    ticks.show(0, NOON + 10, NOON + 11)
    ticks.show(0, NOON + 5, NOON + 12)
    assert ticks.take() == (NOON + 10, NOON + 11)


def test_a_tick_whose_broker_time_lies_before_all_events_is_none() -> None:
    ticks = TickMinimum([0])
    ticks.show(0, 1_000, 1_000)
    assert ticks.take() is None
