"""Containers of the derived topics hold what their schemas in schemas/ say, for any Avro reader."""

import io
from datetime import datetime
from typing import Any

import fastavro
import polars as pl
import pytest

import schemas
from pipeline.codec.container import COUNTS_SCHEMA, PLAYS_SCHEMA, TOP_SCHEMA, read_container, write_container

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
