"""Pane counts of one partition."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules import Rules
from pipeline.windows.counts import PaneCounts
from pipeline.windows.panes import last_final_end, newest_window_end, pane_of

RULES = Rules(1, horizon_ms=100, grace_ms=30, slot_ms=10, pane_ms=10, max_ahead_ms=20, min_play_ms=5, plausibility="-")


@given(st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 4)), max_size=20), max_size=5))
def test_changed_rows_carry_the_absolute_count_so_far(batches: list[list[tuple[int, int]]]) -> None:
    counts, model = PaneCounts(RULES), Counter[tuple[int, int]]()
    for batch in batches:
        keys = [(time // 10 * 10, artist) for time, artist in batch]
        model.update(keys)
        changed = counts.add(np.array([t for t, _ in batch], np.int64), np.array([a for _, a in batch], np.int64))
        assert counts.rows(changed) == sorted((pane, artist, model[pane, artist]) for pane, artist in set(keys))


def test_a_pane_is_dropped_only_when_nothing_can_be_accepted_into_it_any_more() -> None:
    #   watermark 59 ── grace 30 ── events from 29 on count: pane 20 must stay, pane 10 may go
    counts = PaneCounts(RULES)
    counts.add(np.array([15, 25], np.int64), np.array([1, 1], np.int64))
    counts.drop_settled(59)
    again = counts.add(np.array([29], np.int64), np.array([1], np.int64))
    assert counts.rows(again) == [(20, 1, 2)]
    assert counts.rows(counts.add(np.array([16], np.int64), np.array([1], np.int64))) == [(10, 1, 1)]


def test_panes_are_half_open_and_aligned_to_the_epoch() -> None:
    assert [pane_of(time, 10) for time in (0, 9, 10, 19, 20)] == [0, 0, 10, 10, 20]
    assert newest_window_end(20, 10) == 30
    assert [last_final_end(watermark, 5, 10) for watermark in (14, 15, 24, 25)] == [0, 10, 10, 20]
