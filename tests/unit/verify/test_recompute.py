"""The rules on timelines of a few seconds: horizon 60 s, grace 10 s, slots and panes of 10 s, 5 s ahead at most."""

from dataclasses import replace
from typing import Literal

import pytest

from pipeline.verify.partitioner import partition_of
from pipeline.verify.recompute import Record, recompute, tick_of
from pipeline.verify.tables import expected
from tests.unit.verify.logs import BASE, RULES, body, fields, log, outcomes, play, tick, watermarks


def firsts(*records: Record) -> list[int]:
    (fold,) = log(*records).folds
    return list(fold.rows.integers[1])


def test_a_copy_is_a_duplicate_of_the_first_sighting() -> None:
    #  s   0    3    5    9
    #      a    b    a    a
    records = (play("a", 0), play("b", 3), play("a", 0, at=5), play("a", 0, at=9))
    assert outcomes(log(*records)) == ["accepted", "accepted", "duplicate", "duplicate"]
    assert firsts(*records) == [0, 1, 0, 0]


def test_a_row_sees_the_watermark_including_itself() -> None:
    #  s   0         30   40
    #      a         b    c            played
    result = log(play("a", 0), play("b", 40), play("c", 30))
    assert watermarks(result) == [0 + 0.0, 40, 40]
    assert outcomes(result) == ["accepted"] * 3


@pytest.mark.parametrize(("seconds", "outcome"), [(90, "accepted"), (89.999, "late")])
def test_the_grace_ends_after_exactly_ten_seconds(seconds: float, outcome: str) -> None:
    #  s   90       100
    #      b         a     (b is appended after a)
    assert outcomes(log(play("a", 100), play("b", seconds, at=100)))[1] == outcome


@pytest.mark.parametrize(("seconds", "outcome"), [(40, "duplicate"), (39.999, "late")])
def test_past_the_horizon_a_copy_is_late_and_not_a_duplicate(seconds: float, outcome: str) -> None:
    #  s   39.999  40                100
    #         ·     a                 w  a'     horizon of w: 40
    assert outcomes(log(play("a", seconds), tick(100), play("a", seconds, at=100)))[2] == outcome


def test_a_late_first_sighting_is_remembered() -> None:
    #  s   50             100
    #      a, a'           w      both appended after w; 50 is past the grace, within the horizon
    assert outcomes(log(tick(100), play("a", 50, at=100), play("a", 50, at=101))) == ["tick", "late", "duplicate"]


def test_a_sighting_past_the_horizon_is_remembered_as_far_as_its_slot_reaches() -> None:
    #  s   40   45 46           105 -> horizon 45, slot of the horizon: [40, 50)
    #           a (44) late by the horizon, then the same id played at 46: its slot still counts
    records = (tick(105), play("a", 44, at=105), play("a", 46, at=105))
    assert outcomes(log(*records)) == ["tick", "late", "duplicate"]


def test_a_slot_that_ended_before_the_horizon_remembers_nothing() -> None:
    #  s   39            100 -> horizon 40: slot [30, 40) is out
    records = (play("a", 39), tick(100), play("a", 95, at=100))
    assert outcomes(log(*records)) == ["accepted", "tick", "accepted"]


def test_of_several_sightings_the_greatest_slot_stands_and_of_equal_ones_the_first() -> None:
    #  offset  0: a played 39   2: a played 95 (accepted anew)   3: a played 95 -> duplicate of 2
    #  offset  4: a played 30, long past the horizon: late, and does not take the memory back
    records = (
        play("a", 39),
        tick(100),
        play("a", 95, at=100),
        play("a", 95, at=101),
        play("a", 30, at=101),
        play("a", 96, at=101),
    )
    assert outcomes(log(*records)) == ["accepted", "tick", "accepted", "duplicate", "late", "duplicate"]
    assert firsts(*records) == [0, 2, 2, 4, 2]


def test_two_late_sightings_of_one_slot_keep_the_earlier_offset() -> None:
    #  s   40 41 42       105 -> horizon 45; all in slot [40, 50)
    records = (tick(105), play("a", 41, at=105), play("a", 42, at=105), play("a", 46, at=105))
    assert outcomes(log(*records)) == ["tick", "late", "late", "duplicate"]
    assert firsts(*records) == [1, 2, 1]


@pytest.mark.parametrize(("ms_played", "outcome"), [(29_999, "skipped"), (30_000, "accepted")])
def test_under_thirty_seconds_is_a_skip(ms_played: int, outcome: str) -> None:
    assert outcomes(log(play("a", 0, ms_played=ms_played))) == [outcome]


def test_a_skip_is_remembered_and_lateness_goes_before_it() -> None:
    records = (play("a", 0, ms_played=1), play("a", 0, at=1, ms_played=1), tick(100), play("b", 50, at=100, ms_played=1))
    assert outcomes(log(*records)) == ["skipped", "duplicate", "tick", "late"]


@pytest.mark.parametrize(("ahead", "outcome"), [(5, "accepted"), (5.001, "invalid")])
def test_a_clock_may_be_five_seconds_ahead(ahead: float, outcome: str) -> None:
    assert outcomes(log(play("a", 10 + ahead, at=10))) == [outcome]


def test_a_clock_that_runs_ahead_closes_nobodys_windows() -> None:
    #  s   10      14
    #      broker  a played: event time is 10
    result = log(play("a", 14, at=10))
    assert watermarks(result) == [10]
    assert dict(result.folds[0].panes) == {(BASE + 10_000, 1): 1}


def test_an_invalid_event_neither_moves_the_watermark_nor_is_remembered() -> None:
    result = log(play("a", 10), play("b", 90, at=80), play("b", 11))
    assert outcomes(result) == ["accepted", "invalid", "accepted"]
    assert watermarks(result) == [10, 10, 11]


def test_a_key_that_is_not_the_user_is_invalid() -> None:
    good = play("a", 0)
    others = [None, b"", b"7", (8).to_bytes(8, "big"), (7).to_bytes(8, "little"), (7).to_bytes(4, "big")]
    assert outcomes(log(good, *(good._replace(key=key) for key in others))) == ["accepted", *["invalid"] * 6]


def test_a_record_in_another_partition_is_misrouted() -> None:
    rules = replace(RULES, partitions=3)
    home = partition_of((7).to_bytes(8, "big"), 3)
    result = log(*(play("a", 0, partition=partition) for partition in range(3)), rules=rules)
    assert [outcomes(result, partition) for partition in range(3)] == [
        ["accepted" if partition == home else "invalid"] for partition in range(3)
    ]
    assert "misrouted" in str(result.folds[(home + 1) % 3].invalid[0])
    assert result.watermark == 0


def test_a_tick_moves_the_watermark_but_never_past_the_brokers_time() -> None:
    #  s   20           50    60
    #      tick         now   tick's own claim
    result = log(tick(20), tick(60, at=50), tick(30), play("a", 40, at=50))
    assert outcomes(result) == ["tick", "tick", "tick", "accepted"]
    assert watermarks(result) == [20, 50, 50, 50]


@pytest.mark.parametrize(
    ("value", "ok"),
    [
        (b"946684800000", True),
        (b"946684799999", False),
        (b"000946684800000", True),
        (b"9" * 40, True),
        (b"9" * 5000, True),
        (b"", False),
        (b"-1", False),
        (b"+946684800000", False),
        (b" 946684800000", False),
        (b"9466848e5", False),
        ("٩٤٦٦٨٤٨٠٠٠٠٠".encode(), False),
        (b"0", False),
        (None, False),
    ],
)
def test_a_tick_is_ascii_digits_from_2000_on(value: bytes | None, ok: bool) -> None:
    record = tick(0)._replace(headers=[("listening-tick", value)])
    assert outcomes(log(record)) == ["tick" if ok else "invalid"]
    assert watermarks(log(record))[0] <= 0 or ok


def test_of_two_tick_headers_the_last_counts() -> None:
    assert tick_of([("listening-tick", b"946684800000"), ("listening-tick", b"946684800001")]) == 946_684_800_001
    assert tick_of([("listening-tick", b"946684800000"), ("listening-tick", b"soon")]) is None


def test_no_value_without_a_tick_is_invalid_and_a_tick_header_on_an_event_is_nothing() -> None:
    bare = tick(0)._replace(headers=None)
    event = play("a", 10)._replace(headers=[("listening-tick", b"946684800000")])
    empty = play("a", 10)._replace(value=b"")
    result = log(bare, event, empty)
    assert outcomes(result) == ["invalid", "accepted", "invalid"]
    assert watermarks(result) == [0, 10, 10]


def test_the_key_of_a_tick_is_ignored() -> None:
    assert outcomes(log(tick(10)._replace(key=b"anything"))) == ["tick"]


def test_offsets_without_a_record_are_absent() -> None:
    a, b = play("a", 10)._replace(offset=2), play("b", 11)._replace(offset=4)
    result = recompute([a, b], ends=[7], rules=RULES, window_ms=20_000, top_k=2, shards=1)
    assert outcomes(result) == ["absent", "absent", "accepted", "absent", "accepted", "absent", "absent"]
    assert watermarks(result) == [0, 0, 10, 10, 11, 11, 11]


def test_an_unreadable_event_says_why() -> None:
    cut = play("a", 0)._replace(value=b"\0\0\0\0\1" + body(fields("a", 0))[:20])
    assert "no Avro body" in str(log(cut).folds[0].invalid[0])


def test_a_silent_partition_holds_the_global_watermark_back() -> None:
    rules = replace(RULES, partitions=2)
    home = partition_of((7).to_bytes(8, "big"), 2)
    silent = log(play("a", 0, partition=home), tick(100, partition=home), rules=rules)
    assert (silent.watermark, list(silent.finals())) == (0, [])
    heard = log(play("a", 0, partition=home), tick(100, partition=home), tick(30, partition=1 - home), rules=rules)
    assert heard.watermark == BASE + 30_000
    # Windows of 20 s that hold second 0 end at 10 and at 20; with 10 s of grace, 20 is the last due.
    assert [(final.window_end, final.ranked) for final in heard.finals()] == [
        (BASE + 10_000, [(1, 1)]),
        (BASE + 20_000, [(1, 1)]),
    ]


@pytest.mark.parametrize(
    ("near", "outcome", "plays"), [("off", "accepted", 2), ("mark", "accepted", 2), ("drop", "suspect", 1)]
)
def test_another_service_s_report_is_stored_with_the_row_that_it_repeats(
    near: Literal["off", "mark", "drop"], outcome: str, plays: int
) -> None:
    #  s   0          21
    #      a by ours  b by theirs: the same listen, as the rule sees it
    rules = replace(RULES, near_duplicates=near, near_tolerance_ms=30_000)
    result = log(play("a", 0), play("b", 21, service="theirs"), rules=rules)
    stored = expected(result).plays.select(["source_offset", "outcome", "suspect_of"]).to_pylist()
    assert stored == [
        {"source_offset": 0, "outcome": "accepted", "suspect_of": None},
        {"source_offset": 1, "outcome": outcome, "suspect_of": None if near == "off" else 0},
    ]
    assert sum(result.folds[0].panes.values()) == plays
