from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipeline.verify.finals import FinalList, final_lists, ranked
from tests.unit.verify.logs import BASE, log, play, tick


def test_more_plays_rank_first_and_equals_by_artist() -> None:
    assert ranked({9: 2, 4: 2, 7: 5, 1: 1}, 3) == [(7, 5), (4, 2), (9, 2)]
    assert ranked({9: 2, 4: 2, 7: 5}, 10) == [(7, 5), (4, 2), (9, 2)]
    assert ranked({9: 1, 4: 1, 7: 1, 2: 1}, 2) == [(2, 1), (4, 1)]


def test_a_window_is_final_from_the_instant_its_grace_is_over() -> None:
    #  s   0    5    10   15   20        30        40
    #      [ pane   )[ pane   )[                        windows of 20 s: ends 10, 20, 30 hold a play
    #      1    2    1    1                        watermark 29.999 / 30 / 40
    plays = [play("a", 0), play("b", 5, artist_id=2), play("c", 10), play("d", 15)]

    def lists(mark: float) -> list[tuple[int, list[tuple[int, int]]]]:
        return [((final.window_end - BASE) // 1000, final.ranked) for final in log(*plays, tick(mark)).finals()]

    first, both, second = (10, [(1, 1), (2, 1)]), (20, [(1, 3), (2, 1)]), (30, [(1, 2)])
    assert lists(29.999) == [first]
    assert lists(30) == [first, both]
    assert lists(39.999) == [first, both]
    assert lists(40) == [first, both, second]
    assert lists(500) == [first, both, second]  # nothing for windows that hold no play


def test_shards_hold_disjoint_artists_and_an_empty_shard_has_no_list() -> None:
    plays = [play("a", 0, artist_id=2), play("b", 1, artist_id=4), play("c", 11, artist_id=3), tick(30)]
    assert list(log(*plays, shards=2).finals()) == [
        FinalList(BASE + 10_000, 0, [(2, 1), (4, 1)]),
        FinalList(BASE + 20_000, 0, [(2, 1), (4, 1)]),
        FinalList(BASE + 20_000, 1, [(3, 1)]),
    ]


@given(
    st.dictionaries(st.integers(0, 60), st.dictionaries(st.integers(1, 6), st.integers(1, 3), min_size=1), max_size=8),
    st.integers(-1, 80),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 3),
)
def test_sliding_agrees_with_adding_up_every_window_anew(
    plays: dict[int, dict[int, int]], due: int, window: int, k: int, shards: int
) -> None:
    expected = []
    for end in range(due + 1):
        for shard in range(shards):
            total: Counter[int] = Counter()
            for pane, artists in plays.items():
                if end - window <= pane < end:
                    total.update({artist: number for artist, number in artists.items() if artist % shards == shard})
            if total:
                expected.append(FinalList(end, shard, sorted(total.items(), key=lambda entry: (-entry[1], entry[0]))[:k]))
    panes = {pane: Counter(artists) for pane, artists in plays.items()}
    assert list(final_lists(panes, due=due, pane_ms=1, window_ms=window, k=k, shards=shards)) == expected
