"""O4 on histories made by hand: offsets that go back, gaps in `plays`, commits that are ahead."""

from pipeline.drills.oracles.commits import Commit
from pipeline.drills.oracles.positions import Reach, ahead_of_plays, ahead_of_store, went_back
from tests.unit.drills.oracles.raws import plays


def history(*offsets: int | None, every_ms: int = 10_000) -> list[Commit]:
    return [Commit("r.classify", "r.events", 0, offset, at=place * every_ms) for place, offset in enumerate(offsets)]


def test_a_commit_below_the_one_before_it_went_back() -> None:
    assert went_back(history(5, 5, 9, 7, 8), []) == ["r.classify went back from 9 to 7 in r.events partition 0"]


def test_partitions_and_groups_have_positions_of_their_own() -> None:
    others = [Commit("r.classify", "r.events", 1, 2), Commit("r.sink", "r.events", 0, 1)]
    assert went_back([*history(5), *others, *history(6)], []) == []


def test_a_drills_own_reset_may_go_back_once_and_nothing_else_may() -> None:
    assert went_back(history(5, 9, 3, 8), [20_500]) == []  # the reset's own commit
    assert went_back(history(5, 99, 9, 10), [10_000]) == []  # back to the state after a reset to a later place
    assert went_back(history(5, 9, 3, 8), [40_000]) == ["r.classify went back from 9 to 3 in r.events partition 0"]


def test_whoever_has_the_name_of_a_deleted_group_begins_anew() -> None:
    assert went_back(history(5, 9, None, 3), []) == []


def test_valid_records_follow_each_other_and_others_between_them_are_only_counted() -> None:
    reach = Reach()
    for raw in (plays(0, 0, "aad"), plays(0, 0, "aaaa", offset=1), plays(2, 3, "tt-"), plays(3, 6, "a", last=9)):
        reach.add(raw)
    assert (reach.next, reach.ignored, reach.gaps) == ({0: 6}, 2, [])


def test_a_gap_and_an_overlap_between_valid_records_are_named() -> None:
    reach = Reach()
    for raw in (plays(0, 0, "aad"), plays(1, 4, "a"), plays(2, 4, "aa")):
        reach.add(raw)
    assert reach.gaps == [
        "plays partition 0, offset 1 begins at source offset 4, the one before it ended at 2",
        "plays partition 0, offset 2 begins at source offset 4, the one before it ended at 4",
    ]


def test_a_log_that_does_not_begin_at_the_source_begins_with_a_gap() -> None:
    reach = Reach()
    reach.add(plays(0, 5, "a"))
    assert len(reach.gaps) == 1


def test_a_commit_may_be_as_far_as_what_is_applied_and_no_further() -> None:
    [commit] = history(7)
    assert ahead_of_plays(commit, {0: 7}) is None
    assert "committed 7 in partition 0, plays was applied up to 6" in (ahead_of_plays(commit, {0: 6}) or "")
    assert ahead_of_plays(commit, {1: 9})


def test_the_sink_is_held_to_the_source_offset_in_its_metadata() -> None:
    assert ahead_of_store(Commit("r.sink", "r.plays", 0, 2, "70"), {0: 70}) is None
    assert "the store holds it up to 69" in (ahead_of_store(Commit("r.sink", "r.plays", 0, 2, "70"), {0: 69}) or "")
    assert ahead_of_store(Commit("r.sink", "r.plays", 0, 2, ""), {}) is None  # nothing of ours was passed over yet
