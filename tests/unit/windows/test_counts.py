"""Pane counts of one partition, against counters of Python."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules import Rules
from pipeline.windows.counts import Changed, PaneCounts
from pipeline.windows.panes import last_final_end, newest_window_end, pane_of

RULES = Rules(1, horizon_ms=100, grace_ms=30, slot_ms=10, pane_ms=10, max_ahead_ms=20, min_play_ms=5, plausibility="-")
Play = tuple[int, int]  # event time, artist

few_artists = st.integers(1, 4)
any_artists = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-(2**63), -1, 0, 2**63 - 1])
few_panes = st.integers(0, 40)
any_panes = st.integers(0, 2**50)


def added(counts: PaneCounts, plays: list[Play]) -> list[tuple[int, int, int]]:
    times, artists = (
        (np.array(column, np.int64) for column in zip(*plays, strict=True)) if plays else np.zeros((2, 0), np.int64)
    )
    return rows_of(counts.add(times, artists))


def rows_of(changed: Changed) -> list[tuple[int, int, int]]:
    return list(zip(*(column.tolist() for column in changed), strict=True))


@given(st.data())
@pytest.mark.parametrize("times", [few_panes, any_panes])
@pytest.mark.parametrize("artists", [few_artists, any_artists, few_artists | any_artists])
def test_what_changed_carries_the_absolute_count_so_far(
    times: st.SearchStrategy[int], artists: st.SearchStrategy[int], data: st.DataObject
) -> None:
    counts, model = PaneCounts(RULES), Counter[tuple[int, int]]()
    for batch in data.draw(st.lists(st.lists(st.tuples(times, artists), max_size=20), max_size=5)):
        keys = [(time // 10 * 10, artist) for time, artist in batch]
        model.update(keys)
        assert added(counts, batch) == sorted((pane, artist, model[pane, artist]) for pane, artist in set(keys))


@given(st.lists(st.tuples(few_panes, few_artists | any_artists), max_size=40), st.lists(st.integers(0, 40), max_size=4))
def test_any_split_of_the_plays_counts_the_same(plays: list[Play], cuts: list[int]) -> None:
    counts, last = PaneCounts(RULES), dict[tuple[int, int], int]()
    edges = [0, *sorted(min(cut, len(plays)) for cut in cuts), len(plays)]
    for start, end in pairwise(edges):
        last |= {(pane, artist): so_far for pane, artist, so_far in added(counts, plays[start:end])}
    assert last == Counter((time // 10 * 10, artist) for time, artist in plays)


def test_a_batch_may_hold_thousands_of_panes_and_artists_from_end_to_end_of_the_integers() -> None:
    random = np.random.default_rng(3)
    times = random.integers(0, 200_000, 20_000)
    artists = random.choice(np.array([-(2**63), -7, 0, 7, 2**63 - 1]), 20_000)
    model = Counter(zip((times // 10 * 10).tolist(), artists.tolist(), strict=True))
    assert rows_of(PaneCounts(RULES).add(times, artists)) == [(*key, model[key]) for key in sorted(model)]


def test_what_was_told_is_not_changed_by_later_plays() -> None:
    counts = PaneCounts(RULES)
    before = counts.add(np.array([1, 1, 2]), np.array([5, 6, 5]))
    added(counts, [(1, 5), (1, 4), (1, 6)])
    assert rows_of(before) == [(0, 5, 2), (0, 6, 1)]


def test_a_pane_is_dropped_only_when_nothing_can_be_accepted_into_it_any_more() -> None:
    #   watermark 59 ── grace 30 ── events from 29 on count: pane 20 must stay, pane 10 may go
    counts = PaneCounts(RULES)
    added(counts, [(15, 1), (25, 1)])
    counts.drop_settled(59)
    assert added(counts, [(29, 1)]) == [(20, 1, 2)]
    assert added(counts, [(16, 1)]) == [(10, 1, 1)]


def test_panes_are_half_open_and_aligned_to_the_epoch() -> None:
    assert [pane_of(time, 10) for time in (0, 9, 10, 19, 20)] == [0, 0, 10, 10, 20]
    assert newest_window_end(20, 10) == 30
    assert [last_final_end(watermark, 5, 10) for watermark in (14, 15, 24, 25)] == [0, 10, 10, 20]
