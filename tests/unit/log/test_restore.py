"""The log is the state: from any point, a restored worker goes on as if it had never stopped."""

from dataclasses import replace
from typing import Any, Literal

import pyarrow as pa
import pyarrow.ipc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codec.batches import walk
from pipeline.codec.decode import decode
from pipeline.codec.headers import PlaysHeaders
from pipeline.dedup.decide import Memory, forget
from pipeline.errors import RefusedError
from pipeline.log.batch import classify
from pipeline.log.restore import restore_memory
from pipeline.rules import Rules
from tests.unit.batches import NOON, Item, batch_bytes, event, record, tick
from tests.unit.log.memory_log import MemoryLog

RULES = Rules(
    partitions=1,
    horizon_ms=9000,
    grace_ms=3000,
    slot_ms=1000,
    pane_ms=1000,
    max_ahead_ms=2000,
    min_play_ms=5,
    plausibility="-",
    near_duplicates="drop",
    near_tolerance_ms=800,
)
TOPIC = "plays"

items: st.SearchStrategy[Item] = st.one_of(
    st.builds(
        lambda number, ago, short, service: record(
            event(number, user_id=1 + number % 2, played_at=NOON - ago, ms_played=4 if short else 90_000, service=service)
        ),
        st.integers(1, 8),
        st.integers(-1500, 14_000),
        st.booleans(),
        st.sampled_from(["one", "two", "three"]),
    ),
    st.builds(lambda ago: tick(NOON - ago), st.integers(0, 12_000)),
    st.just((b"bad", b"poison", [])),
)
close = st.builds(
    lambda number, played_at, service: record(
        event(number, user_id=1 + number % 2, played_at=NOON - 11_000 + played_at, service=service)
    ),
    st.integers(1, 40),
    st.integers(-2_000, 2_000),
    st.sampled_from(["one", "two", "three"]),
)
"""Reports that lie close enough together for the near-duplicate rule."""


def written(log: MemoryLog, memory: Memory, part: list[Item], start: int, stamps: list[int], rules: Rules = RULES) -> None:
    """One classified batch to the log, as the worker does it."""
    raw = batch_bytes(part, start, timestamps=stamps)
    result = classify(memory, decode(walk(raw), start, 0, 1, rules.max_ahead_ms), rules)
    at = log.bounds(TOPIC, 0)[1]
    log.append(TOPIC, 0, result.value, result.headers(at, rules.fingerprint).encode(), result.watermark)


def rows_of(log: MemoryLog) -> list[dict[str, Any]]:
    """What the log says of each source record, read by Arrow itself."""
    rows: list[dict[str, Any]] = []
    for entry in log.read(TOPIC, 0, 0, log.bounds(TOPIC, 0)[1]):
        if PlaysHeaders.valid_at(entry.offset, entry.headers) and entry.value:
            rows.extend(pa.ipc.open_stream(entry.value).read_all().to_pylist())
    return rows


@pytest.mark.parametrize("near", ["mark", "drop"])
@settings(max_examples=150, deadline=None)
@given(
    st.one_of(st.lists(items, min_size=1, max_size=50), st.lists(close, min_size=10, max_size=50)),
    st.lists(st.integers(1, 12), min_size=1),
    st.data(),
)
def test_restarts_rogue_records_and_any_split_leave_the_same_rows(
    near: Literal["mark", "drop"], source: list[Item], sizes: list[int], data: st.DataObject
) -> None:
    rules = replace(RULES, near_duplicates=near)
    stamps = [NOON - 12_000 + 250 * number for number in range(len(source))]  # appended as time goes by
    undisturbed, disturbed = MemoryLog(), MemoryLog()
    memory = Memory()
    for at in range(len(source)):
        written(undisturbed, memory, source[at : at + 1], at, stamps[at : at + 1], rules)
    memory, at, batch = Memory(), 0, 0
    while at < len(source):
        if data.draw(st.booleans()):
            rogue = PlaysHeaders(10_000, 0, 0, (1, 0, 0, 0, 0, 0), 0, 0, 2**40, "other").encode()
            disturbed.append(TOPIC, 0, b"not even avro", rogue, data.draw(st.sampled_from([0, 2**40, NOON])))
        if data.draw(st.booleans()):
            memory = restore_memory(disturbed, TOPIC, 0, rules).memory
            assert memory.next_offset == at
        if data.draw(st.booleans()):
            memory.near._lasting = -1000
            forget(memory, rules)
        size = sizes[batch % len(sizes)]
        written(disturbed, memory, source[at : at + size], at, stamps[at : at + size], rules)
        at, batch = at + size, batch + 1
    assert rows_of(disturbed) == rows_of(undisturbed)


def test_a_worker_with_other_rules_refuses_and_names_the_difference() -> None:
    log = MemoryLog()
    written(log, Memory(), [record(event(1))], 0, [NOON])
    other = replace(RULES, grace_ms=4000)
    with pytest.raises(RefusedError, match=r"grace_ms: 3000 in the log, 4000 here"):
        restore_memory(log, TOPIC, 0, other)


def test_a_hole_between_valid_records_is_refused_loudly() -> None:
    log, memory = MemoryLog(), Memory()
    written(log, memory, [record(event(1))], 0, [NOON])
    written(log, memory, [record(event(2))], 5, [NOON])
    with pytest.raises(RefusedError, match="1 was to follow"):
        restore_memory(log, TOPIC, 0, RULES)


def test_a_batch_s_headers_add_up_and_its_rows_are_its_source_records() -> None:
    log = MemoryLog()
    source = [record(event(1)), tick(NOON), record(event(1)), (b"bad", b"poison", []), record(event(2, ms_played=1))]
    written(log, Memory(), source, 0, [NOON] * 5)
    headers = PlaysHeaders.decode(log.records[TOPIC, 0][0].headers)
    assert (headers.first, headers.last, headers.ticks, headers.absent) == (0, 4, 1, 0)
    assert headers.counts == (1, 1, 0, 1, 0, 1)
    assert [(row["offset"], row["outcome"], row["first_offset"]) for row in rows_of(log)] == [
        (0, "accepted", 0),
        (2, "duplicate", 0),
        (3, "invalid", None),
        (4, "skipped", 4),
    ]
