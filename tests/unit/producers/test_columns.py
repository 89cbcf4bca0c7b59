"""Rows of columns are those that plain lists would give."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.columns import Columns, take


@st.composite
def _columns(draw: st.DrawFn) -> Columns:
    count = draw(st.integers(0, 20))
    numbers = draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=count, max_size=count))
    ids = draw(st.binary(min_size=16 * count, max_size=16 * count))
    return {"number": np.array(numbers, np.int64), "id": np.frombuffer(ids, np.uint8).reshape(count, 16)}


def _rows(columns: Columns) -> list[tuple[int, bytes]]:
    return [(int(number), row.tobytes()) for number, row in zip(columns["number"], columns["id"], strict=True)]


@given(_columns(), st.data())
def test_rows_are_taken_by_mask_by_index_and_by_slice(columns: Columns, data: Any) -> None:
    rows, count = _rows(columns), len(columns["number"])
    mask = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    places = data.draw(st.lists(st.integers(0, count - 1), max_size=30)) if count else []
    cut = data.draw(st.slices(count))
    assert _rows(take(columns, np.array(mask, np.bool_))) == [row for row, wanted in zip(rows, mask, strict=True) if wanted]
    assert _rows(take(columns, np.array(places, np.int64))) == [rows[place] for place in places]
    assert _rows(take(columns, cut)) == rows[cut]


@pytest.mark.parametrize("rows", [np.array([0, 1]), np.array([True, True])])
def test_what_is_taken_by_mask_or_index_may_be_changed_alone(rows: Any) -> None:
    columns = {"number": np.array([1, 2])}
    take(columns, rows)["number"][:] = 9
    assert columns["number"].tolist() == [1, 2]
