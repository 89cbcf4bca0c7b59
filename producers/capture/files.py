"""Records as a Parquet file a partition, in log order: written and read a row group at a time.

Parquet, because every tool reads it (DuckDB, polars, pandas, ClickHouse, Spark), it tells null from empty also within
headers, and each page carries a checksum: a damaged file is refused, never replayed.
"""

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import RefusedError
from producers.replay.places import sync
from producers.replay.records import Record

TIME = pa.timestamp("ms", "UTC")
HEADERS = pa.list_(pa.struct([pa.field("name", pa.string(), nullable=False), pa.field("value", pa.binary())]))
SCHEMA = pa.schema(
    [
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("appended_at", TIME, nullable=False),
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        pa.field("headers", HEADERS),  # null: there were some whose names are no UTF-8
    ]
)
HELD, HELD_BYTES = 100_000, 64 << 20
"""Records and bytes of values in memory over all partitions: a partition's share of either ends a row group."""
LEAST_ROWS = 1_000
"""A row group's share of records is never less: smaller ones compress badly."""
AT_ONCE = 1_000
"""Rows that are objects at a time."""


class PartitionFile:
    """Writes one partition's file; closed (whole on disk) at the end of its context, of whichever kind."""

    def __init__(self, path: Path, partitions: int) -> None:
        """`partitions`: how many share the memory."""
        self._path, self._rows = path, max(LEAST_ROWS, HELD // partitions)
        self._most_bytes = HELD_BYTES // partitions
        self._held: list[Record] = []
        self._bytes = 0
        # An event's value is nearly always new, a user's key is not.
        self._writer = pq.ParquetWriter(path, SCHEMA, compression="zstd", use_dictionary=["key"], write_page_checksum=True)

    def add(self, record: Record) -> None:
        """The next record of the log."""
        self._held.append(record)
        self._bytes += len(record.value or b"")
        if len(self._held) >= self._rows or self._bytes >= self._most_bytes:
            self._write()

    def _write(self) -> None:
        if self._held:
            self._writer.write_batch(batch_of(self._held))
            self._held, self._bytes = [], 0

    def __enter__(self) -> "PartitionFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._write()
        self._writer.close()
        sync(self._path)


def batch_of(records: list[Record]) -> pa.RecordBatch:
    """Records as rows of SCHEMA."""
    appended_at, partition, offset, key, value, headers = zip(*records, strict=True)
    pairs = [None if found is None else [{"name": name, "value": content} for name, content in found] for found in headers]
    return pa.record_batch(
        [
            pa.array(partition, pa.int32()),
            pa.array(offset, pa.int64()),
            pa.array(appended_at, pa.int64()).cast(TIME),
            pa.array(key, pa.binary()),
            pa.array(value, pa.binary()),
            pa.array(pairs, HEADERS),
        ],
        schema=SCHEMA,
    )


def read_records(path: Path, records: int) -> Iterator[Record]:
    """The file's records as they were added. Raises RefusedError where it can't be read or hasn't so many."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if file.schema_arrow != SCHEMA or file.metadata.num_rows != records:
                raise RefusedError(f"{path} is not what the manifest beside it says: capture again.")
            for group in range(file.num_row_groups):
                yield from _records(file.read_row_group(group))
    except (OSError, pa.ArrowException) as error:
        raise RefusedError(f"{path} is damaged ({str(error).splitlines()[0]}): capture again, or fetch it again.") from error


def _records(table: pa.Table) -> Iterator[Record]:
    for batch in table.to_batches(max_chunksize=AT_ONCE):
        found = batch["headers"]
        if len(found.flatten()) or found.null_count:
            headers = [
                None if pairs is None else [(pair["name"], pair["value"]) for pair in pairs] for pairs in found.to_pylist()
            ]
        else:
            headers = [[] for _ in repeat(None, len(found))]
        yield from map(
            Record,
            batch["appended_at"].cast(pa.int64()).to_pylist(),
            batch["partition"].to_pylist(),
            batch["offset"].to_pylist(),
            batch["key"].to_pylist(),
            batch["value"].to_pylist(),
            headers,
        )
