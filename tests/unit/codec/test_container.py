"""Containers of the derived topics hold what their schemas in schemas/ say, for any Avro reader."""

import io
from datetime import datetime
from typing import Any

import fastavro
import polars as pl
import pytest

import schemas
from pipeline.codec.batches import walk
from pipeline.codec.container import COUNTS_SCHEMA, PLAYS_SCHEMA, TOP_SCHEMA, read_container, write_container
from pipeline.codec.decode import decode
from pipeline.dedup.decide import Memory
from pipeline.log.batch import classify
from pipeline.settings import load
from tests.unit.batches import NOON, Item, batch_bytes, event, record, tick

DERIVED = [("plays-value", "Play", PLAYS_SCHEMA), ("artist-counts-value", "ArtistCount", COUNTS_SCHEMA),
           ("top-artists-value", "RankedArtist", TOP_SCHEMA)]  # fmt: skip
SAMPLES: dict[Any, Any] = {
    pl.Int32: 7, pl.Int64: 2**40, pl.String: "SE", pl.Binary: b"\0" * 16,
    pl.Datetime("ms"): datetime(2026, 11, 23, 12, 0, 0, 123_000),
}  # fmt: skip


@pytest.mark.parametrize(("subject", "name", "columns"), DERIVED)
def test_a_container_is_readable_under_the_committed_schema(subject: str, name: str, columns: dict[str, Any]) -> None:
    row = {column: SAMPLES[dtype] for column, dtype in columns.items()}
    frame = pl.DataFrame({column: [value] for column, value in row.items()}).cast(columns)
    reader_schema = fastavro.parse_schema(schemas.schema(subject, 1))
    assert [field["name"] for field in schemas.schema(subject, 1)["fields"]] == list(columns)
    container = write_container(frame, name)
    assert list(fastavro.reader(io.BytesIO(container), reader_schema)) == [row]
    assert read_container(container, columns).equals(frame)


def test_an_empty_value_is_a_container_without_rows() -> None:
    assert read_container(b"", PLAYS_SCHEMA, ["offset"]).schema == {"offset": pl.Int64}


def test_columns_in_pieces_of_different_lengths_are_written() -> None:
    pieces = pl.concat([pl.Series("rank", [1], pl.Int32), pl.Series("rank", [2, 3], pl.Int32)], rechunk=False)
    frame = pl.DataFrame([pieces, pl.Series("artist_id", [7, 8, 9]), pl.Series("plays", [5, 5, 4])])
    assert [column.n_chunks() for column in frame] == [2, 1, 1]
    assert read_container(write_container(frame, "RankedArtist"), TOP_SCHEMA).equals(frame)


@pytest.mark.parametrize("beside", [tick(NOON), (b"no event", b"at all", [])], ids=["tick", "poison"])
def test_a_batch_of_events_before_one_in_which_an_event_lies_beside_something_else_is_classified(beside: Item) -> None:
    raw = batch_bytes([record(event(1))]) + batch_bytes([record(event(2)), beside], 1)
    made = classify(Memory(), decode(walk(raw), 0, 0, 1, 600_000), load(partitions=1).rules)
    rows = read_container(made.value, PLAYS_SCHEMA).filter(pl.col("outcome") == "accepted")
    assert rows["offset"].to_list() == [0, 1]
