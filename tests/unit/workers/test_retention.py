"""Nobody jumps: what we delete no reader needs, and what others delete is refused or was not needed."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codec.headers import TopHeaders
from pipeline.errors import RefusedError
from pipeline.log.positions import last_told
from pipeline.log.read import CutError, undisturbed
from pipeline.log.retention import kept_from
from pipeline.log.since import last_before
from tests.unit.batches import NOON
from tests.unit.log.memory_log import MemoryLog
from tests.unit.workers.simulated import (
    COUNTS,
    PLAYS,
    SETTINGS,
    TOPS,
    Listen,
    Simulated,
    classify_state,
    count_state,
    expected,
    published,
    rank_state,
)
from tests.unit.workers.test_count_and_rank import fetch

Step = tuple[Any, ...]
assert NOON % 10_000 == 0
listens = st.builds(Listen, st.integers(0, 6), st.sampled_from([0, 1, 3, 9, 18]), st.integers(1, 9), st.integers(0, 4))
sources = st.tuples(*[st.lists(listens, min_size=15, max_size=60)] * SETTINGS.partitions).map(list)
places = st.sampled_from([(topic, number) for topic in (PLAYS, COUNTS) for number in range(2)])
lane = st.integers(0, 1)
dated = st.sampled_from([-1, 0, 2**40, NOON, NOON + 60_000, 2**50])
all_on = st.tuples(st.just("all_on"), lane, st.integers(1, 6))
steps = st.one_of(
    *[all_on] * 5,
    st.tuples(st.just("classify"), lane, st.integers(1, 12)),
    st.tuples(st.just("count"), lane, st.integers(1, 8)),
    st.tuples(st.just("rank"), lane, st.integers(1, 12)),
    st.tuples(st.just("sink"), places, st.integers(40, 100)),
    st.tuples(st.just("trim"), st.sampled_from([0, 0, 7_000])),
    st.tuples(st.just("rogue"), places, dated, st.integers(0, 2)),
    st.tuples(st.just("crash"), lane),
)
zombies = st.one_of(st.tuples(st.just("zombie"), lane), st.tuples(st.just("zombie counts"), lane, st.integers(1, 8)))


@pytest.fixture(scope="module", autouse=True)
def _announcements_in_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.workers.count._ROWS_PER_RECORD", 2)
        yield


def played(run: Simulated, script: list[Step]) -> None:
    for name, *details in script:
        match name:
            case "sink" | "rogue":
                (place, *others) = details
                getattr(run, name)(*place, *others)
            case "zombie":
                run.crash(*details, comes_back=True)
            case "zombie counts":
                run.count(*details, zombie=True)
            case _:
                getattr(run, name)(*details)


@settings(max_examples=100, deadline=None)
@given(sources, st.lists(st.one_of(steps, zombies), min_size=20, max_size=90))
def test_our_own_deletions_change_no_restore_and_the_final_lists_stay_exact(
    source: list[list[Listen]], script: list[Step]
) -> None:
    run = Simulated(source)
    played(run, script)
    for topic in (PLAYS, COUNTS):
        for number in range(2):
            run.sink(topic, number, 100)
    run.trim(0)
    run.finish()
    assert published(run.log) == expected(source)


@settings(max_examples=100, deadline=None)
@given(sources, st.lists(steps, min_size=20, max_size=60), st.data())
def test_a_log_that_others_cut_is_restored_as_it_was_or_refused(
    source: list[list[Listen]], script: list[Step], data: st.DataObject
) -> None:
    run = Simulated(source)
    played(run, script)
    whole = run.states()
    topic, number = data.draw(places)
    low, high = run.log.bounds(topic, number)
    cut = run.log.with_cut(topic, number, data.draw(st.integers(low, high)))
    for name, restore in (("classify", classify_state), ("count", count_state), ("rank", rank_state)):
        for at in range(2):
            try:
                found = restore(cut, at)
            except RefusedError:
                continue
            if found != whole[f"{name} {at}"]:
                assert is_a_fresh_start(name, found, cut, at), (name, at, whole[f"{name} {at}"], found)


def is_a_fresh_start(name: str, found: Any, cut: Any, partition: int) -> bool:
    """Count begins with all of `plays` where a shard no longer says what was counted: it announces all of it again."""
    return name == "count" and found == ({}, 0, 0, 0) and cut.bounds(PLAYS, partition)[0] == 0


def steady(rounds: int = 40) -> tuple[Simulated, list[list[Listen]]]:
    """Both partitions go on by two seconds an event, every stage follows at once, and rogue records lie between."""
    source = [[Listen(2, number % 3, number, number % 4 + 1) for number in range(rounds * 3)] for _ in range(2)]
    return Simulated(source), source


def one_round(run: Simulated, number: int) -> None:
    for at in range(2):
        run.classify(at, 3)
        run.count(at, 10)
    for at in range(2):
        run.rank(at, 20)
        if number % 10 == 5:
            run.rogue(PLAYS, at, 2**50, 1)
            run.rogue(COUNTS, at, 2**50, 2)


def test_a_steady_run_keeps_no_more_than_the_readers_need_whatever_rogues_are_dated() -> None:
    run, source = steady()
    for number in range(40):
        one_round(run, number)
        for topic in (PLAYS, COUNTS):
            for at in range(2):
                run.sink(topic, at, 100)
        run.trim(0)
    for at in range(2):
        low, high = run.log.bounds(PLAYS, at)
        assert high - low <= 8, "25 s of horizon, slot and max_ahead in records of 6 s, one older, and a rogue or two"
        low, high = run.log.bounds(COUNTS, at)
        assert high - low <= 16, "two windows' worth of two partitions"
    run.finish()
    assert published(run.log) == expected(source)


@pytest.mark.parametrize("behind", ["sink", "count", "rank", "shard", "quiet partition"])
def test_nothing_is_deleted_that_a_reader_far_behind_needs(behind: str) -> None:
    run, source = steady()
    for number in range(40):
        for at in range(2):
            if behind != "quiet partition" or at == 0 or number < 8:
                run.classify(at, 3)
            if behind != "count" or number < 8:
                run.count(at, 10)
        for at in range(2):
            if (behind != "rank" or number < 8) and (behind != "shard" or at == 0 or number < 8):
                run.rank(at, 20)
        for topic in (PLAYS, COUNTS):
            for at in range(2):
                if behind != "sink" or number < 8:
                    run.sink(topic, at, 100)
        run.trim(0)
    lows = {place: run.log.lows[place] for place in [(topic, at) for topic in (PLAYS, COUNTS) for at in range(2)]}
    if behind == "sink":
        assert all(low <= run.sunk[place] for place, low in lows.items())
        assert all(low > 0 for low in lows.values())
    if behind == "count":
        assert all(0 < lows[PLAYS, at] <= 8 for at in range(2))
    if behind == "rank":
        assert all(lows[COUNTS, at] <= 16 for at in range(2))
        assert all(lows[PLAYS, at] > 25 for at in range(2)), "count and classify are not behind"
    if behind == "shard":
        assert lows[COUNTS, 1] <= 16
        assert lows[COUNTS, 0] > 40
    if behind == "quiet partition":
        assert lows[PLAYS, 0] > 25
        assert lows[PLAYS, 1] <= 8
        assert all(lows[COUNTS, at] <= 16 for at in range(2)), "its windows are open"
    run.finish()
    assert published(run.log) == expected(source)


def test_a_final_list_of_nobody_knows_whom_deletes_nothing() -> None:
    run, source = steady()
    for number in range(20):
        one_round(run, number)
    ahead = TopHeaders(2**42, SETTINGS.window_seconds * 1000, 0, 3, True, 1, 2**43)
    run.log.append(TOPS, 0, b"", ahead.encode(), 2**42)
    for at in range(2):
        run.sink(COUNTS, at, 100)
    for (topic, partition), offset in kept_from(run.log, SETTINGS, run.sunk, 0):
        assert (topic, partition) == (COUNTS, 1)
        run.log.cut(topic, partition, offset)
    assert run.log.lows[COUNTS, 1] > 0
    del run.log.records[TOPS, 0][-1]
    run.finish()
    assert published(run.log) == expected(source)


def test_an_old_position_written_last_by_workers_stopped_for_long_is_not_gone_on_from() -> None:
    run, source = steady()
    for number in range(5):
        one_round(run, number)
    stopped = run.counters.pop(0)
    run.classify(0, 3)
    fetched = fetch(run.log, PLAYS, 0, stopped.next_offset, 1)
    lists = list(run.log.records[TOPS, 1])
    assert fetched
    assert lists
    fetched_last = 17
    for number in range(5, 30):
        one_round(run, number)
        for topic in (PLAYS, COUNTS):
            for at in range(2):
                run.sink(topic, at, 100)
        run.trim(0)
    before = run.states()
    asyncio.run(stopped.take(fetched))
    for number in range(6):
        again = lists[number % len(lists)]
        run.log.append(TOPS, 1, again.value, list(again.headers), again.timestamp)  # type: ignore[arg-type]
    told = last_told(run.log, COUNTS, 0, [0])[0]
    assert told.offset == fetched_last
    assert last_before(run.log, PLAYS, 0, *run.log.bounds(PLAYS, 0), told.watermark) is None, "what it needs is gone"
    after = run.states()
    assert after["count 0"] == before["count 0"]
    assert after["rank 1"][1:] == before["rank 1"][1:]
    run.crash(0)
    run.finish()
    assert published(run.log) == expected(source)


class CutUnderItsEyes(MemoryLog):
    """Says where a partition begins, and is cut the next moment, as far as our own rule allows."""

    def __init__(self, log: MemoryLog, cuts: list[tuple[tuple[str, int], int]]) -> None:
        super().__init__()
        self.records, self.lows, self._cuts = log.records, log.lows.copy(), cuts

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        told = super().bounds(topic, partition)
        for place, offset in self._cuts:
            if place == (topic, partition):
                self.cut(*place, offset)
        return told


def test_a_restore_during_which_the_log_is_cut_behind_all_readers_is_made_anew() -> None:
    run, _ = steady()
    for number in range(12):
        one_round(run, number)
    for topic in (PLAYS, COUNTS):
        for at in range(2):
            run.sink(topic, at, 100)
    before, cuts = run.states(), list(kept_from(run.log, SETTINGS, run.sunk, 0))
    assert len(cuts) == 4
    with pytest.raises(CutError):
        classify_state(CutUnderItsEyes(run.log, cuts), 0)
    for name, restore in (("classify", classify_state), ("count", count_state), ("rank", rank_state)):
        for at in range(2):
            log = CutUnderItsEyes(run.log, cuts)
            assert undisturbed(lambda restore=restore, log=log, at=at: restore(log, at)) == before[f"{name} {at}"]


def cut_to_its_end(run: Simulated, topic: str, partition: int) -> Any:
    return run.log.with_cut(topic, partition, run.log.bounds(topic, partition)[1] - 1)


def test_what_was_lost_is_named() -> None:
    run, _ = steady()
    for number in range(20):
        one_round(run, number)
    cut = cut_to_its_end(run, PLAYS, 1)
    with pytest.raises(RefusedError, match=r"plays partition 1 was cut.* up to 56 since 2025.*ids that classify"):
        classify_state(cut, 1)
    with pytest.raises(RefusedError, match=r"plays partition 1 was cut.* up to 56 since 2025.*panes that count"):
        count_state(cut, 1)
    with pytest.raises(
        RefusedError, match=r"artist-counts partition 0 was cut.* up to 56 of source partition 1 .*since 2025"
    ):
        rank_state(cut_to_its_end(run, COUNTS, 0), 0)
    empty = run.log.with_cut(COUNTS, 0, run.log.bounds(COUNTS, 0)[1])
    with pytest.raises(RefusedError, match=r"artist-counts partition 0 was cut.*source partitions 0, 1 is left.*since 2025"):
        rank_state(empty, 0)


def test_rank_notices_at_run_time_that_an_announcement_is_missing() -> None:
    run, _ = steady()
    for number in range(20):
        one_round(run, number)
    lane = run.rankers[0]
    for _ in range(2):
        run.classify(0, 3)
        run.count(0, 10)
    lane._durable += 1  # as if it had jumped
    with pytest.raises(RefusedError, match=r"announcements of source offsets 60 to 62 of source partition 0 are gone"):
        run.rank(0, 20)
