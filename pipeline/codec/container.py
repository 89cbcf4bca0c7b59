"""Avro object containers of the derived topics, written and read as columns."""

import io
from typing import Any

import polars as pl

PLAYS_SCHEMA: dict[str, Any] = {
    "offset": pl.Int64,
    "appended_at": pl.Datetime("ms"),
    "event_time": pl.Datetime("ms"),
    "event_id": pl.Binary,
    "first_offset": pl.Int64,
    "user_id": pl.Int64,
    "artist_id": pl.Int64,
    "track_id": pl.Int64,
    "played_at": pl.Datetime("ms"),
    "sent_at": pl.Datetime("ms"),
    "ms_played": pl.Int32,
    "platform": pl.String,
    "service": pl.String,
    "country": pl.String,
    "outcome": pl.String,
}
COUNTS_SCHEMA: dict[str, Any] = {
    "source_partition": pl.Int32,
    "pane": pl.Datetime("ms"),
    "artist_id": pl.Int64,
    "plays": pl.Int64,
    "version": pl.Int64,
}
TOP_SCHEMA: dict[str, Any] = {"rank": pl.Int32, "artist_id": pl.Int64, "plays": pl.Int64}


def write_container(frame: pl.DataFrame, name: str) -> bytes:
    """The rows as one Avro object container (not compressed: Kafka compresses the batch)."""
    stream = io.BytesIO()
    # Polars panics where its columns are in chunks of different lengths, as those of a frame that was put together may be.
    frame.rechunk().write_avro(stream, compression="uncompressed", name=name)
    return stream.getvalue()


def read_container(value: bytes, schema: dict[str, Any], columns: list[str] | None = None) -> pl.DataFrame:
    """The rows of a container, or of an empty value none."""
    if not value:
        return pl.DataFrame(schema={name: schema[name] for name in columns or schema})
    return pl.read_avro(io.BytesIO(value), columns=columns)
