"""The order of a replay, and where its records belong."""

from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.verify import partitioner
from pipeline.verify.recompute import tick_of as independent_tick
from producers.replay.records import Record, homes, merged, same_content, tick_of

NOON = 1_760_000_000_000
LOGS = st.lists(st.lists(st.integers(0, 12), max_size=12), min_size=1, max_size=5)
"""By partition, the records' broker times: few of them, so that they meet."""


def log_of(times: list[list[int]]) -> list[list[Record]]:
    return [
        [Record(at, partition, offset, None, b"", []) for offset, at in enumerate(column)]
        for partition, column in enumerate(times)
    ]


def replay(log: list[list[Record]]) -> list[Record]:
    return list(merged([iter(records) for records in log]))


@given(LOGS)
def test_where_time_never_goes_back_a_replay_is_sorted_by_time_partition_and_offset(times: list[list[int]]) -> None:
    log = log_of([sorted(column) for column in times])
    assert replay(log) == sorted(record for records in log for record in records)


@given(LOGS)
def test_where_time_goes_back_a_record_comes_as_if_it_had_the_time_of_the_latest_before_it(times: list[list[int]]) -> None:
    log = log_of(times)
    latest = [list(accumulate(column, max)) for column in times]
    every = [record for records in log for record in records]
    assert replay(log) == sorted(every, key=lambda r: (latest[r.partition][r.offset], r.partition, r.offset))


@given(LOGS, st.data())
def test_a_replay_can_go_on_from_any_position(times: list[list[int]], data: st.DataObject) -> None:
    log = log_of(times)
    whole = replay(log)
    done = data.draw(st.integers(0, len(whole)))
    positions = [sum(record.partition == partition for record in whole[:done]) for partition in range(len(log))]
    rest = [records[position:] for records, position in zip(log, positions, strict=True)]
    assert replay(rest) == whole[done:]


@given(st.lists(st.none() | st.binary(max_size=10) | st.binary(min_size=8, max_size=8), min_size=1), st.integers(1, 300))
def test_a_key_of_eight_bytes_has_the_home_that_kafkas_own_partitioner_says(keys: list[bytes | None], new: int) -> None:
    found = homes([Record(0, 0, 0, key, None, []) for key in keys], 4, new)
    for key, old_home, new_home in zip(keys, found.old.tolist(), found.new.tolist(), strict=True):
        if key is None or len(key) != 8:
            assert (old_home, new_home) == (-1, -1)
        else:
            assert (old_home, new_home) == (partitioner.partition_of(key, 4), partitioner.partition_of(key, new))


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (None, [("listening-tick", b"%d" % (NOON - 5))]),
        (None, [("listening-tick", b"%d" % (NOON + 5))]),  # ahead: it says no more than its broker time
        (None, [("listening-tick", b"noon"), ("listening-tick", b"%d" % NOON)]),  # the last one of a name counts
        (None, [("listening-tick", b"%d" % NOON), ("listening-tick", b"noon")]),
        (None, [("listening-tick", b"9" * 30)]),
        (None, [("listening-tick", b"12")]),
        (None, [("listening-tick", None)]),
        (None, []),
    ],
)
def test_what_is_a_tick_is_what_verify_takes_for_one(value: bytes | None, headers: Any) -> None:
    clock = independent_tick(headers)
    assert tick_of(Record(NOON, 0, 0, None, value, headers)) == (None if clock is None else min(clock, NOON))


def test_neither_a_value_nor_unreadable_headers_are_a_tick() -> None:
    assert tick_of(Record(NOON, 0, 0, None, b"", [("listening-tick", b"%d" % NOON)])) is None
    assert tick_of(Record(NOON, 0, 0, None, None, None)) is None


def test_records_are_the_same_only_with_the_same_time_key_value_and_headers() -> None:
    record = Record(NOON, 1, 2, b"k", b"v", [("a", b"b")])
    assert same_content(record, record._replace(partition=7, offset=8))
    for other in ({"appended_at": 1}, {"key": b""}, {"value": None}, {"headers": []}):
        assert not same_content(record, record._replace(**other))
    assert same_content(record._replace(headers=None), record._replace(headers=[]))
