"""Containers of the derived topics hold what their schemas in schemas/ say, for any reader of Arrow streams."""

import io
from datetime import datetime
from typing import Any

import fastavro
import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas
from pipeline.codec.batches import walk
from pipeline.codec.container import (
    COUNTS_SCHEMA,
    PLAYS_SCHEMA,
    TOP_SCHEMA,
    ContainerError,
    read_container,
    read_longs,
    write_container,
)
from pipeline.codec.decode import decode
from pipeline.dedup.decide import Memory
from pipeline.log.batch import classify
from pipeline.settings import load
from tests.unit.batches import NOON, Item, batch_bytes, event, record, tick
from tests.unit.store.made import arrow_type

DERIVED = [("plays-value", PLAYS_SCHEMA), ("artist-counts-value", COUNTS_SCHEMA), ("top-artists-value", TOP_SCHEMA)]
SAMPLES: dict[Any, Any] = {
    pl.Int32: 7, pl.Int64: 2**40, pl.String: "SE", pl.Binary: b"\0" * 16,
    pl.Datetime("ms"): datetime(2026, 11, 23, 12, 0, 0, 123_000),
}  # fmt: skip


def sample(columns: dict[str, Any]) -> tuple[dict[str, Any], pl.DataFrame]:
    row = {column: SAMPLES[dtype] for column, dtype in columns.items()}
    return row, pl.DataFrame({column: [value] for column, value in row.items()}).cast(columns)


def classified(raw: bytes) -> bytes:
    return classify(Memory(), decode(walk(raw), 0, 0, 1, 600_000), load(partitions=1).rules).value


@pytest.mark.parametrize(("subject", "columns"), DERIVED)
def test_a_container_is_readable_by_arrow_and_has_the_committed_columns(subject: str, columns: dict[str, Any]) -> None:
    row, frame = sample(columns)
    container = write_container(frame)
    assert [field["name"] for field in schemas.schema(subject, 1)["fields"]] == list(columns)
    assert pa.ipc.open_stream(container).read_all().to_pylist() == [row]
    assert read_container(container, columns).equals(frame)


def test_the_outcomes_of_a_batch_have_the_committed_types() -> None:
    raw = batch_bytes([record(event(1)), (b"no event", b"at all", [])])
    found = pa.ipc.open_stream(classified(raw)).read_all()
    packed = {pa.binary(16): pa.binary()}
    for field, column in zip(schemas.schema("plays-value", 1)["fields"], found.columns, strict=True):
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        kind = pa.string() if kind == pa.large_string() else packed.get(kind, kind)
        assert kind == arrow_type(field["type"]), field["name"]
        assert column[0].is_valid
        assert column[1].is_valid is not isinstance(field["type"], list), field["name"]
    assert read_container(classified(raw), PLAYS_SCHEMA).schema == pl.Schema(PLAYS_SCHEMA)


@pytest.mark.parametrize(("subject", "columns"), DERIVED)
def test_a_container_from_before_arrow_is_read(subject: str, columns: dict[str, Any]) -> None:
    row, frame = sample(columns)
    out = io.BytesIO()
    fastavro.writer(out, fastavro.parse_schema(schemas.schema(subject, 1)), [row])
    assert read_container(out.getvalue(), columns).equals(frame)


def test_an_empty_value_is_a_container_without_rows() -> None:
    assert read_container(b"", PLAYS_SCHEMA, ["offset"]).schema == {"offset": pl.Int64}


def test_columns_in_pieces_of_different_lengths_are_written() -> None:
    pieces = pl.concat([pl.Series("rank", [1], pl.Int32), pl.Series("rank", [2, 3], pl.Int32)], rechunk=False)
    frame = pl.DataFrame([pieces, pl.Series("artist_id", [7, 8, 9]), pl.Series("plays", [5, 5, 4])])
    assert [column.n_chunks() for column in frame] == [2, 1, 1]
    assert read_container(write_container(frame), TOP_SCHEMA).equals(frame)


@pytest.mark.parametrize("beside", [tick(NOON), (b"no event", b"at all", [])], ids=["tick", "poison"])
def test_a_batch_of_events_before_one_in_which_an_event_lies_beside_something_else_is_classified(beside: Item) -> None:
    raw = batch_bytes([record(event(1))]) + batch_bytes([record(event(2)), beside], 1)
    rows = read_container(classified(raw), PLAYS_SCHEMA).filter(pl.col("outcome") == "accepted")
    assert rows["offset"].to_list() == [0, 1]


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_a_damaged_container_is_an_error_or_rows_that_can_be_looked_at(data: st.DataObject) -> None:
    """Never a crash of the process: what is read is checked before anybody looks at it."""
    whole = classified(batch_bytes([record(event(number)) for number in range(5)]))
    damaged = bytearray(whole)
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        damaged[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.none(), st.integers(1, len(whole))))
    try:
        rows = read_container(bytes(damaged[:cut]), PLAYS_SCHEMA)
    except ContainerError:
        return
    rows.hash_rows()  # looks at every value


@given(
    st.lists(st.tuples(st.one_of(st.none(), st.integers(-(2**40), 2**40)), st.sampled_from(["accepted", "late", "é"]))),
    st.booleans(), st.sampled_from(["accepted", "é", "nobody"]),
)  # fmt: skip
def test_numbers_of_rows_with_a_text_are_those_that_a_look_at_each_row_finds(
    rows: list[tuple[int | None, str]], as_dictionary: bool, text: str
) -> None:
    times = pa.array([time if time is not None else None for time, _ in rows], pa.timestamp("ms"))
    labels = pa.array([label for _, label in rows], pa.string())
    table = pa.table({"n": pa.array(range(len(rows)), pa.int64()), "time": times,
                      "label": labels.dictionary_encode() if as_dictionary else labels})  # fmt: skip
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    numbers, instants = read_longs(out.getvalue(), ["n", "time"], "label", text)
    expected = [number for number, (_, label) in enumerate(rows) if label == text]
    assert numbers.tolist() == expected
    assert len(instants) == len(expected)
    for number, instant in zip(expected, instants.tolist(), strict=True):
        assert rows[number][0] in (None, instant)


def test_numbers_are_found_in_a_container_from_before_arrow_and_none_in_an_empty_one() -> None:
    row, _frame = sample(PLAYS_SCHEMA)
    out = io.BytesIO()
    fastavro.writer(out, fastavro.parse_schema(schemas.schema("plays-value", 1)), [row, row | {"outcome": "late"}])
    moment = round((SAMPLES[pl.Datetime("ms")] - datetime(1970, 1, 1)).total_seconds() * 1000)
    assert [c.tolist() for c in read_longs(out.getvalue(), ["offset", "event_time"], "outcome", "SE")] == [[2**40], [moment]]
    assert [column.tolist() for column in read_longs(b"", ["offset"], "outcome", "SE")] == [[]]
