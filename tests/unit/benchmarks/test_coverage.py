"""When the counts were complete."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codec.headers import CountsHeaders
from tests.benchmarks.coverage import Coverage, first_seen


def told(partition: int, counted: int, part: int = 1, parts: int = 1) -> CountsHeaders:
    return CountsHeaders(partition, 0, 0, counted, 0, part, parts, "rules")


def test_it_is_complete_with_the_last_part_of_the_announcement_that_reaches_the_last_partitions_end() -> None:
    #  offset      0        1        2           3           4        5
    #  partition   0        1        1 (1 of 2)  1 (2 of 2)  0        0
    #  counted     9        5        7           7           9        9
    coverage = Coverage({0: 9, 1: 7})
    coverage.add([(0, told(0, 9)), (1, told(1, 5)), (2, told(1, 7, 1, 2))])
    assert coverage.completed_by is None
    coverage.add([(3, told(1, 7, 2, 2)), (4, told(0, 9)), (5, told(0, 9))])
    assert coverage.completed_by == 3


def test_a_partition_that_nobody_asked_for_changes_nothing() -> None:
    coverage = Coverage({0: 1})
    coverage.add([(0, told(3, 100))])
    assert coverage.completed_by is None


@given(
    st.dictionaries(st.integers(0, 3), st.integers(0, 20), min_size=1),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(1, 3), st.integers(0, 2)), max_size=40),
    st.integers(0, 40),
)
def test_it_is_complete_at_the_first_record_up_to_which_every_partition_is_told(
    lasts: dict[int, int], raw: list[tuple[int, int, int, int]], cut: int
) -> None:
    records = [(offset, told(p, counted, part, part + more)) for offset, (p, counted, part, more) in enumerate(raw)]
    expected = None
    for offset in range(len(raw)):
        best: dict[int, int] = {}
        for p, counted, _, more in raw[: offset + 1]:
            if not more:
                best[p] = max(best.get(p, -1), counted)
        if all(best.get(p, -1) >= last for p, last in lasts.items()):
            expected = offset
            break
    coverage = Coverage(lasts)
    coverage.add(records[:cut])
    coverage.add(records[cut:])
    assert coverage.completed_by == expected


def test_a_record_was_seen_at_the_first_look_that_found_the_log_longer_than_its_offset() -> None:
    looks = [(1.0, 0), (2.0, 5), (3.0, 6), (4.0, 9)]
    assert [first_seen(looks, offset) for offset in (0, 4, 5, 6, 8)] == [2.0, 2.0, 3.0, 4.0, 4.0]
    with pytest.raises(ValueError, match="no look saw offset 9"):
        first_seen(looks, 9)
