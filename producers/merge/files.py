"""Parquet files as keyed batches and back: read a little at a time, written under another name until they are whole."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ListeningError
from producers.merge.keyed import Keyed
from producers.merge.reorder import OutOfOrderError, in_order

BUFFER_BYTES = 16 << 10
"""Read at once of one column of one file."""
GROUP_ROWS = 32 << 10
"""Rows of a row group: what a reader of our files needs at least in memory is a part of one."""
PAGE_BYTES = 64 << 10
_UNREADABLE = (OSError, pa.ArrowException, ValueError)
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def schema_of(path: Path) -> Any:
    """The columns' names and types. Raises ListeningError where the file is no Parquet that can be read."""
    try:
        return pq.read_schema(path).remove_metadata()
    except _UNREADABLE as error:
        raise _unreadable(path, error) from None


def require_key(path: Path, schema: Any, by: str) -> None:
    """Raises ListeningError where a file can't be sorted by this column."""
    if by not in schema.names:
        raise ListeningError(f"{path} has no column {by}: --by must be one of {', '.join(schema.names)}")
    kind = schema.field(by).type
    if not (pa.types.is_timestamp(kind) or pa.types.is_integer(kind)) or pa.types.is_uint64(kind):
        raise ListeningError(f"{path} has {by} as {kind}: --by must be an instant or a whole number")


def units(schema: Any, by: str, seconds: float) -> int:
    """So many seconds in the key's unit. Raises ListeningError where the key is no instant."""
    if not seconds:
        return 0
    kind = schema.field(by).type
    if not pa.types.is_timestamp(kind):
        raise ListeningError(f"--tolerate is in seconds, and {by} is no instant but {kind}: leave it out")
    return int(seconds * _PER_SECOND[kind.unit])


def read_sorted(path: Path, schema: Any, by: str, at_once: int, bound: int = 0) -> Iterator[Keyed]:
    """The rows of a file by key, mostly `at_once` a batch; those out of order by no more than `bound` are put in order.

    Raises ListeningError, naming the file, where it can't be read, and its row where that is further out of order or has no
    key.
    """
    try:
        yield from in_order(_batches(path, schema, by, at_once), bound)
    except OutOfOrderError as error:
        kind = schema.field(by).type
        how_far = f"{error.behind / _PER_SECOND[kind.unit]:,.3f} s" if pa.types.is_timestamp(kind) else f"{error.behind:,}"
        remedy = "sort the file by it first"
        if pa.types.is_timestamp(kind):
            remedy += ", or say --tolerate with so many seconds"
        raise ListeningError(
            f"{path} is out of order at row {error.row} (counted from 0), whose {by} is {how_far} behind a row before it: "
            f"{remedy}"
        ) from None


def _batches(path: Path, schema: Any, by: str, at_once: int) -> Iterator[Keyed]:
    row = 0
    try:
        with pq.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False) as file:
            for rows in file.iter_batches(at_once, use_threads=False):
                keys = rows.column(schema.names.index(by))
                if keys.null_count:
                    first = int(np.flatnonzero(keys.is_null().to_numpy(zero_copy_only=False))[0])
                    raise ListeningError(f"{path} has no {by} at row {row + first} (counted from 0): leave such rows out")
                yield Keyed(keys.cast(pa.int64()).to_numpy(), rows.replace_schema_metadata(None))
                row += rows.num_rows
    except _UNREADABLE as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> ListeningError:
    lines = str(error).splitlines() or [type(error).__name__]
    return ListeningError(f"{path} can't be read as Parquet: {lines[0].rstrip('.')}")


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, which becomes `path` in the end, or goes. Raises ListeningError where that fails."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        os.replace(beside, path)
    except OSError as error:
        raise ListeningError(f"{path} can't be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            beside.unlink()


def write(path: Path, schema: Any, batches: Iterable[Keyed]) -> Iterator[int]:
    """Write the rows in their order; yields how many so far, a row group each. Nothing is written before it is iterated."""
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    rows = 0
    with pq.ParquetWriter(path, schema, use_dictionary=texts or False, data_page_size=PAGE_BYTES) as writer:
        for group in _groups(batches):
            writer.write_table(pa.Table.from_batches(group, schema))
            pa.default_memory_pool().release_unused()
            rows += sum(batch.num_rows for batch in group)
            yield rows


def _groups(batches: Iterable[Keyed]) -> Iterator[list[Any]]:
    """The batches by row groups: each of GROUP_ROWS at least, but the last."""
    group: list[Any] = []
    rows = 0
    for batch in batches:
        group.append(batch.rows)
        rows += len(batch.keys)
        if rows >= GROUP_ROWS:
            yield group
            group, rows = [], 0
    if group:
        yield group
