"""The sliding window against sums over plain lists."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.topk.merge import SlidingTop
from pipeline.topk.rank import top_k

PANE, WINDOW, GRACE, K = 10, 40, 5, 3
Play = tuple[int, int, int]  # partition, event time, artist
Row = tuple[int, int, int, int]  # pane, artist, plays, version
Announcement = tuple[int, list[Row], int, int]  # partition, rows, watermark, counted
Places = list[tuple[int, int]]


def expected_finals(plays: list[Play], watermark: int) -> dict[int, Places]:
    """Every window end that is due, by brute force over all of time."""
    lists = {}
    for end in range(0, watermark - GRACE + 1, PANE):
        counts = Counter(artist for _, time, artist in plays if end - WINDOW <= time < end)
        if counts:
            lists[end] = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:K]
    return lists


def pane_rows(plays: list[Play], partition: int, version: int) -> list[Row]:
    counts = Counter((time // PANE * PANE, artist) for p, time, artist in plays if p == partition)
    return [(pane, artist, count, version) for (pane, artist), count in sorted(counts.items())]


plays_in_order = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 300), st.integers(1, 6)), min_size=1, max_size=40).map(
    lambda plays: sorted(plays, key=lambda play: play[1])
)


@settings(max_examples=300, deadline=None)
@given(plays_in_order, st.integers(1, 7), st.integers(0, 6))
def test_finals_are_those_of_the_whole_log_for_any_split_and_restart(
    plays: list[Play], size: int, restart_after: int
) -> None:
    top = SlidingTop(2, PANE, WINDOW, GRACE, K)
    given_out: dict[int, Places] = {}
    said: list[Announcement] = []
    for number, at in enumerate(range(0, len(plays), size)):
        part = plays[: at + size]
        for partition in (0, 1):
            watermark = max((time for p, time, _ in part if p == partition), default=0)
            announcement = (partition, pane_rows(part, partition, at), watermark, at)
            said.append(announcement)
            _announce(top, announcement)
        for ranked in top.finals():
            assert ranked.window_end not in given_out
            given_out[ranked.window_end] = ranked.places
        if number == restart_after and given_out:  # as restore_rank does: the last final, then the log again
            top = SlidingTop(2, PANE, WINDOW, GRACE, K, max(given_out))
            for announcement in said:
                _announce(top, announcement)
    last = min(max((time for p, time, _ in plays if p == partition), default=0) for partition in (0, 1))
    assert given_out == expected_finals(plays, last)


def _merge(top: SlidingTop, partition: int, rows: list[Row]) -> None:
    top.merge(partition, *np.array(rows, np.int64).reshape(-1, 4).T)


def _announce(top: SlidingTop, announcement: Announcement) -> None:
    partition, rows, watermark, counted = announcement
    _merge(top, partition, rows)
    top.advance(partition, watermark, counted)


far_artists = st.sampled_from([-(2**63), -1, 0, 2**63 - 1])
rows = st.tuples(st.sampled_from([0, 10, 20, 30]), st.integers(1, 4) | far_artists, st.integers(1, 9), st.integers(0, 4))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.lists(rows, max_size=12)), max_size=8))
def test_of_each_pane_artist_and_partition_the_largest_version_that_came_first_stays_whatever_the_order(
    announcements: list[tuple[int, list[Row]]],
) -> None:
    top, model = SlidingTop(2, PANE, WINDOW, GRACE, 20), dict[tuple[int, int, int], tuple[int, int]]()
    for partition, told in announcements:
        _merge(top, partition, told)
        for pane, artist, plays, version in told:
            if version > model.get((partition, pane, artist), (0, -1))[1]:
                model[partition, pane, artist] = (plays, version)
    for partition in (0, 1):
        top.advance(partition, 95, 0)
    lists = {}
    for end in range(10, 80, 10):
        counts = Counter[int]()
        for (_, pane, artist), (plays, _) in model.items():
            counts[artist] += plays * (end - WINDOW <= pane < end)
        best = sorted(((artist, plays) for artist, plays in counts.items() if plays), key=lambda e: (-e[1], e[0]))
        lists |= {end: best} if best else {}
    assert {ranked.window_end: ranked.places for ranked in top.finals()} == lists


def test_a_provisional_list_shows_the_window_that_holds_the_watermark() -> None:
    #   panes  0    10    20    30    40    50 ── watermark 52: newest window is [20, 60)
    top = SlidingTop(1, PANE, WINDOW, GRACE, K)
    _merge(top, 0, [(0, 1, 9, 1), (20, 2, 3, 1), (50, 1, 1, 1)])
    top.advance(0, 52, 1)
    list(top.finals())
    ranked = top.provisional()
    assert ranked is not None
    assert (ranked.window_end, ranked.final, ranked.places) == (60, False, [(2, 3), (1, 1)])


def test_a_partition_that_was_not_heard_from_holds_every_window_back() -> None:
    top = SlidingTop(2, PANE, WINDOW, GRACE, K)
    _merge(top, 0, [(0, 1, 1, 1)])
    top.advance(0, 500, 1)
    assert top.watermark == 0
    assert list(top.finals()) == []
    assert top.provisional() is None


def test_an_older_version_and_a_repeated_announcement_change_nothing() -> None:
    top = SlidingTop(1, PANE, WINDOW, GRACE, K)
    for version, plays in ((5, 7), (4, 6), (5, 7)):
        _merge(top, 0, [(0, 1, plays, version)])
        top.advance(0, 20, version)
    assert [ranked.places for ranked in top.finals()] == [[(1, 7)]]


def test_empty_stretches_are_not_walked() -> None:
    top = SlidingTop(1, PANE, WINDOW, GRACE, K)
    _merge(top, 0, [(0, 1, 1, 1), (10**12, 1, 1, 1)])
    top.advance(0, 10**12 + 20, 1)
    ends = [ranked.window_end for ranked in top.finals()]
    assert ends == [10, 20, 30, 40, 10**12 + 10]


@given(st.dictionaries(st.integers(1, 60) | far_artists, st.integers(0, 5) | st.integers(0, 2**40)), st.integers(1, 20))
def test_ranking_is_total_plays_descending_then_artist_ascending(plays: dict[int, int], k: int) -> None:
    artists = np.array(list(plays), np.int64)
    expected = sorted(((a, n) for a, n in plays.items() if n), key=lambda entry: (-entry[1], entry[0]))[:k]
    assert top_k(artists, np.array(list(plays.values()), np.int64), k) == expected


def test_ties_at_the_cut_go_to_the_smallest_artists_of_very_many() -> None:
    artists = np.random.default_rng(2).permutation(100_000)
    plays = np.ones(100_000, np.int64)
    plays[artists == 77_777] = 2
    assert top_k(artists, plays, 4) == [(77_777, 2), (0, 1), (1, 1), (2, 1)]


@pytest.mark.parametrize("most", [1, 2, 50, 2**40])
@pytest.mark.parametrize("size", [255, 256, 1_023, 1_024, 5_000])
def test_ranking_many_is_the_same_as_sorting_them(most: int, size: int) -> None:
    random = np.random.default_rng(size)
    artists, plays = random.permutation(10 * size)[:size] - size, random.integers(0, most, size, endpoint=True)
    everyone = sorted(zip(artists.tolist(), plays.tolist(), strict=True), key=lambda entry: (-entry[1], entry[0]))
    for k in (1, 2, 4, 5, 1_000):
        assert top_k(artists, plays, k) == [entry for entry in everyone[:k] if entry[1]]


def test_what_was_merged_is_a_copy() -> None:
    """The columns come from a record's bytes, which would stay in memory, or can't be written to."""
    top, columns = SlidingTop(1, PANE, WINDOW, GRACE, K), np.array([(0, 1, 5, 1), (0, 2, 3, 1)], np.int64).T.copy()
    columns.flags.writeable = False
    top.merge(0, *columns)
    _merge(top, 0, [(0, 1, 7, 2)])
    columns.flags.writeable = True
    columns[:] = 99
    top.advance(0, 20, 2)
    assert [ranked.places for ranked in top.finals()] == [[(1, 7), (2, 3)]]


def test_artists_that_no_pane_holds_are_forgotten_and_the_lists_stay_right() -> None:
    """Ids come from outside: a client that makes them up must not fill the memory."""
    top, plays = SlidingTop(1, PANE, WINDOW, GRACE, K), []
    lists: dict[int, Places] = {}
    for pane in range(0, 1000, PANE):
        made_up = [(0, pane, 1_000_000 + pane + number) for number in range(10)]
        plays += [*made_up, (0, pane, 1), (0, pane, 1), (0, pane, 2 + pane % 30)]
        _merge(top, 0, pane_rows([play for play in plays if play[1] == pane], 0, pane))
        top.advance(0, pane + 9, pane)
        lists |= {ranked.window_end: ranked.places for ranked in top.finals()}
        assert len(top._sum.artists) <= 4 / 3 * 4 * 13  # in four panes, and a third of that
        provisional = top.provisional()
        if provisional:
            counts = Counter(artist for _, time, artist in plays if pane + PANE - WINDOW <= time < pane + PANE)
            assert provisional.places == sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:K]
    assert lists == expected_finals(plays, 999)
