"""Remembered ids: against a dictionary, however they are numbered, dropped and indexed, and within their bytes."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.dedup import table
from pipeline.dedup.index import Index
from pipeline.dedup.seen import Seen
from pipeline.errors import RefusedError

Entries = dict[tuple[int, int], tuple[int, int]]
"""(head, tail) → (slot, offset)."""
pairs = st.tuples(st.integers(0, 40), st.integers(0, 2))
batches = st.lists(st.lists(st.tuples(pairs, st.integers(0, 9)), max_size=40), max_size=8)


def columns(batch: list[tuple[tuple[int, int], int]], offset: int) -> tuple[np.ndarray, ...]:
    """Ids, slots and offsets, which count up."""
    return (
        np.array([head for (head, _), _ in batch], np.uint64),
        np.array([tail for (_, tail), _ in batch], np.uint64),
        np.array([slot for _, slot in batch], np.int32),
        np.arange(offset, offset + len(batch)),
    )


def contents(memory: Seen) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """All that is remembered, in the order of ids: an id that were there twice would be here, too."""
    found = []
    for entry in memory.entries():
        parts = (memory._head[entry], memory._tail[entry], memory.slot(entry), memory.offset[entry])
        found += [
            ((head, tail), (slot, offset)) for head, tail, slot, offset in zip(*(p.tolist() for p in parts), strict=True)
        ]
    assert len(found) == memory.size
    return sorted(found)


def found_again(memory: Seen, ids: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What stands for ids that are remembered, by asking for them."""
    size = memory.size
    probe = memory.sight(*columns([(one, 0) for one in ids], 10**6))
    assert (len(probe.made), memory.size) == (0, size)
    return list(zip(memory.slot(probe.entry).tolist(), memory.offset[probe.entry].tolist(), strict=True))


@pytest.mark.usefixtures("layout")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches, st.integers(0, 9), st.data())
def test_the_latest_slot_stands_and_of_equal_slots_the_earliest_offset(
    batches: list[list[tuple[tuple[int, int], int]]], oldest: int, data: st.DataObject
) -> None:
    memory, offset, model = Seen(), 0, Entries()
    for batch in batches:
        least = data.draw(st.sampled_from([-(2**31), oldest]))
        memory.remember(*columns(batch, offset), least)
        for at, (pair, slot) in enumerate(batch, offset):
            if slot >= least and (pair not in model or slot > model[pair][0]):
                model[pair] = (slot, at)
        offset += len(batch)
        if data.draw(st.booleans()):
            memory.forget_below(oldest)
            model = {pair: entry for pair, entry in model.items() if entry[0] >= oldest}
        if data.draw(st.booleans()):
            memory._reindex(0)
        assert contents(memory) == sorted(model.items())
    assert found_again(memory, list(model)) == list(model.values())


@pytest.mark.usefixtures("layout")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches, st.data())
def test_the_first_row_of_an_id_that_is_not_remembered_makes_its_entry(
    batches: list[list[tuple[tuple[int, int], int]]], data: st.DataObject
) -> None:
    memory, offset, model = Seen(), 0, Entries()
    for batch in batches:
        expected = []
        for at, (pair, slot) in enumerate(batch, offset):
            if pair not in model:
                model[pair] = (slot, at)
                expected.append(at - offset)
        probe = memory.sight(*columns(batch, offset))
        assert probe.made.tolist() == expected
        assert probe.others.tolist() == sorted(set(range(len(batch))) - set(expected))
        assert memory.offset[probe.entry].tolist() == [model[pair][1] for pair, _ in batch]
        assert memory.slot(probe.entry).tolist() == [model[pair][0] for pair, _ in batch]
        offset += len(batch)
        oldest = data.draw(st.integers(0, 9))
        memory.forget_below(oldest)
        model = {pair: entry for pair, entry in model.items() if entry[0] >= oldest}
    assert contents(memory) == sorted(model.items())


def random_ids(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.integers(0, 2**63, count, np.uint64), rng.integers(0, 2**63, count, np.uint64)


def remember(memory: Seen, ids: tuple[np.ndarray, np.ndarray], slots: np.ndarray | int) -> None:
    count = len(ids[0])
    memory.remember(*ids, np.full(count, slots, np.int32), np.arange(count))


def test_a_remembered_id_costs_at_most_48_bytes_and_a_slot_a_block_at_every_size() -> None:
    rng, memory = np.random.default_rng(1), Seen()
    for batch in range(400):
        remember(memory, random_ids(rng, 2_500), np.arange(2_500) // 100 + batch // 16)
        assert memory.nbytes <= 48 * memory.size + (25 + batch // 16) * 256 * 24 + 10_000
    assert memory.size == 1_000_000


def test_memory_stays_where_it_is_while_as_many_ids_come_as_go_and_is_given_back_after_a_spike() -> None:
    rng, memory = np.random.default_rng(1), Seen()
    for slot in range(200):
        remember(memory, random_ids(rng, 4_000), slot)
        memory.forget_below(slot - 24)
    assert memory.size == 100_000
    assert memory.nbytes <= 48 * memory.size + 100_000
    for part in range(20):
        remember(memory, random_ids(rng, 100_000), 200 + part // 10)
    for slot in range(202, 260):
        remember(memory, random_ids(rng, 4_000), slot)
        memory.forget_below(slot - 24)
    assert memory.size == 100_000
    assert memory.nbytes <= 8 * 48 * memory.size


def test_dropping_slots_touches_no_entry() -> None:
    rng, memory = np.random.default_rng(1), Seen()
    remember(memory, random_ids(rng, 200_000), np.arange(200_000) % 20)
    parts = (memory._head, memory._tail, memory.offset, memory._index.words)
    before = [part.tobytes() for part in parts]
    for part in parts:
        part.flags.writeable = False
    memory.forget_below(5)
    assert memory.size == 150_000
    assert [part.tobytes() for part in (memory._head, memory._tail, memory.offset, memory._index.words)] == before


def test_a_storm_of_one_id_through_all_slots_holds_one_block_a_slot_and_one_entry() -> None:
    memory, ids = Seen(), (np.full(1_000, 7, np.uint64), np.full(1_000, 8, np.uint64))
    for slot in range(500):
        memory.remember(*ids, np.full(1_000, slot, np.int32), np.arange(1_000) + slot * 1_000)
        memory.forget_below(slot - 3)
        assert contents(memory) == [((7, 8), (slot, slot * 1_000))]
    assert memory.nbytes < 200_000


@pytest.mark.parametrize(
    "ids",
    {
        "counters in the first bytes": lambda n: (n, n * 0 + 5),
        "counters in the last bytes, as big-endian numbers have them": lambda n: (n * 0, n.byteswap()),
        "counters in the middle": lambda n: (n.byteswap(), n * 0),
        "times before random numbers": lambda n: ((n // 7 + 2**40).byteswap(), n * np.uint64(0x9E3779B97F4A7C15)),
        "every 4096th": lambda n: (n << np.uint64(12), n >> np.uint64(3)),
    }.items(),
    ids=lambda item: item[0],
)
def test_ids_of_any_make_are_spread_evenly(ids: tuple[str, object]) -> None:
    keys = ids[1](np.arange(1_000_000, dtype=np.uint64))  # type: ignore[operator]
    buckets = np.bincount(Index(1 << 21).home(*keys)[0] // 5, minlength=1 << 18)
    # Random ones would be Poisson: 3.8 a bucket, and 9 or more in about one of 60.
    assert len(buckets) == 1 << 18
    assert (buckets > 8).mean() < 0.03


def test_ids_that_differ_in_one_half_only_are_different() -> None:
    memory = Seen()
    head, tail = np.array([1, 1, 2], np.uint64), np.array([5, 6, 5], np.uint64)
    remember(memory, (head, tail), 0)
    assert memory.size == 3


def test_more_entries_than_have_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_ROW", 512)
    memory = Seen()
    with pytest.raises(RefusedError, match="LISTENING_HORIZON_SECONDS"):
        remember(memory, random_ids(np.random.default_rng(1), 1_000), 0)
