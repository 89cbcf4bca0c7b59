"""Remembered ids: against a dictionary, and within their budget of memory."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.seen import Seen

pairs = st.tuples(st.integers(0, 40), st.integers(0, 2))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.tuples(pairs, st.integers(0, 9)), max_size=40), max_size=8), st.integers(0, 9))
def test_the_latest_slot_stands_and_of_equal_slots_the_earliest_offset(
    batches: list[list[tuple[tuple[int, int], int]]], oldest: int
) -> None:
    seen, offset = Seen(), 0
    model: dict[tuple[int, int], tuple[int, int]] = {}
    for number, batch in enumerate(batches):
        offsets = range(offset, offset + len(batch))
        seen.remember(
            np.array([head for (head, _), _ in batch], np.uint64),
            np.array([tail for (_, tail), _ in batch], np.uint64),
            np.array([slot for _, slot in batch], np.int32),
            np.array(offsets, np.int64),
        )
        for at, (pair, slot) in zip(offsets, batch, strict=True):
            if pair not in model or slot > model[pair][0]:
                model[pair] = (slot, at)
        offset += len(batch)
        if number % 3 == 2:
            seen.forget_below(oldest)
            model = {pair: entry for pair, entry in model.items() if entry[0] >= oldest}
    assert seen.size == len(model)
    keys = list(model)
    entries = seen.entries(np.array([k[0] for k in keys], np.uint64), np.array([k[1] for k in keys], np.uint64))
    assert [(seen.slot[e], seen.offset[e]) for e in entries] == [model[k] for k in keys]


def test_a_remembered_id_costs_at_most_64_bytes_at_every_size() -> None:
    rng, seen = np.random.default_rng(1), Seen()
    for _ in range(200):
        ids = rng.integers(0, 2**63, (5_000, 2), np.uint64)
        seen.remember(ids[:, 0], ids[:, 1], np.zeros(5_000, np.int32), np.zeros(5_000, np.int64))
        assert seen.nbytes <= 64 * seen.size
    assert seen.size == 1_000_000


def test_ids_that_differ_in_one_half_only_are_different() -> None:
    seen = Seen()
    head, tail = np.array([1, 1, 2], np.uint64), np.array([5, 6, 5], np.uint64)
    assert len(set(seen.entries(head, tail).tolist())) == 3
