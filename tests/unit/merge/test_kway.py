"""The k-way merge and the reorder buffer against Python's own stable sort, for any cut into batches."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.merge.keyed import Keyed
from producers.merge.kway import merged
from producers.merge.reorder import OutOfOrderError, in_order

LEAST, MOST = -(2**63), 2**63 - 1
KEYS = st.one_of(st.integers(0, 5), st.integers(-30, 30), st.sampled_from([LEAST, LEAST + 1, MOST - 1, MOST]))
SIZES = st.lists(st.integers(0, 7), min_size=1, max_size=8).filter(any)


def batches(file: int, keys: list[int], sizes: list[int]) -> Iterator[Keyed]:
    """The rows (key, file, row) of one file, cut by the sizes over and over: empty ones included."""
    start, turn = 0, 0
    while start < len(keys):
        some = keys[start : start + sizes[turn % len(sizes)]]
        rows = pa.record_batch(
            {
                "key": pa.array(some, pa.int64()),
                "file": pa.array([file] * len(some), pa.int64()),
                "row": pa.array(range(start, start + len(some)), pa.int64()),
            }
        )
        yield Keyed(np.array(some, np.int64), rows)
        start, turn = start + len(some), turn + 1


def rows_of(found: Iterator[Keyed]) -> list[tuple[int, int, int]]:
    rows: list[tuple[int, int, int]] = []
    for part in found:
        assert len(part.keys) == part.rows.num_rows > 0
        assert part.keys.tolist() == part.rows["key"].to_pylist()
        rows += zip(*(part.rows[name].to_pylist() for name in ("key", "file", "row")), strict=True)
    return rows


def plain(files: list[list[int]]) -> list[tuple[int, int, int]]:
    return [(key, file, row) for file, keys in enumerate(files) for row, key in enumerate(keys)]


@given(st.lists(st.tuples(st.lists(KEYS, max_size=40).map(sorted), SIZES), max_size=6))
def test_merging_is_a_stable_sort_by_key_file_and_row_however_the_files_are_cut(
    files: list[tuple[list[int], list[int]]],
) -> None:
    found = rows_of(merged([batches(number, keys, sizes) for number, (keys, sizes) in enumerate(files)]))
    assert found == sorted(plain([keys for keys, _ in files]))


@given(st.lists(KEYS, max_size=60), SIZES, st.integers(0, 40))
def test_the_reorder_buffer_sorts_within_its_bound_and_names_the_first_row_beyond(
    keys: list[int], sizes: list[int], bound: int
) -> None:
    beyond = [row for row, key in enumerate(keys) if key < max(keys[:row], default=key) - bound]
    if not beyond:
        assert rows_of(in_order(batches(0, keys, sizes), bound)) == sorted(plain([keys]))
        return
    with pytest.raises(OutOfOrderError) as refused:
        rows_of(in_order(batches(0, keys, sizes), bound))
    assert (refused.value.row, refused.value.behind) == (beyond[0], max(keys[: beyond[0]]) - keys[beyond[0]])


@given(st.lists(st.integers(0, 25), max_size=200), SIZES)
def test_jitter_below_the_bound_is_always_put_in_order(jitter: list[int], sizes: list[int]) -> None:
    keys = [5 * row + late for row, late in enumerate(jitter)]
    assert rows_of(in_order(batches(0, keys, sizes), 25)) == sorted(plain([keys]))


def test_the_horizon_moves_through_files_of_one_key_without_piling_up() -> None:
    taken = 0

    def counted(file: int) -> Iterator[Keyed]:
        nonlocal taken
        for batch in batches(file, [7] * 1_000, [10]):
            taken += 1
            yield batch

    given_out, most = 0, 0
    for part in merged([counted(file) for file in range(3)]):
        given_out += len(part.keys)
        most = max(most, 10 * taken - given_out)
    assert given_out == 3_000
    assert most <= 3 * 10  # a batch a file
