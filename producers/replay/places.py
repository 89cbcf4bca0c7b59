"""Where each record of the old log came to lie in the new one: chunks on disk, and the old run's ledger by it."""

import os
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.settings import Settings
from producers.ledger import LEDGER_SCHEMA, Status, read_ledger

COLUMNS = ("source_partition", "source_offset", "partition", "offset")
AT_ONCE = 200_000
"""Rows of a ledger that are mapped at a time."""
Longs = npt.NDArray[np.int64]


class Places:
    """The places of the records since the last chunk; a chunk is one Parquet file (COLUMNS, a row a record)."""

    def __init__(self) -> None:
        self._rows: array[int] = array("q")

    def __len__(self) -> int:
        return len(self._rows) // len(COLUMNS)

    def add(self, source_partition: int, source_offset: int, partition: int, offset: int) -> None:
        self._rows.extend((source_partition, source_offset, partition, offset))

    def write(self, path: Path) -> None:
        """Write the chunk, durably, and begin the next. One of the same name is replaced: it says the same."""
        rows = np.array(self._rows, np.int64).reshape(-1, len(COLUMNS))
        unfinished = path.with_suffix(".unfinished")
        pq.write_table(pa.table({name: rows[:, at] for at, name in enumerate(COLUMNS)}), unfinished, compression="zstd")
        sync(unfinished)
        os.replace(unfinished, path)
        self._rows = array("q")


def sync(path: Path) -> None:
    """Return when the disk has the file's bytes."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Map:
    """Old (partition, offset) → new (partition, offset), from chunks: 10 bytes an offset of the old log."""

    def __init__(self, ends: list[int]) -> None:
        self._partition = [np.full(end, -1, np.int16) for end in ends]
        self._offset = [np.full(end, -1, np.int64) for end in ends]

    def load(self, chunks: list[Path]) -> None:
        """Take in chunks."""
        for path in chunks:
            table = pq.read_table(path)
            sources, olds, partitions, offsets = (table[name].to_numpy() for name in COLUMNS)
            for source in np.unique(sources):
                mine = sources == source
                self._partition[source][olds[mine]] = partitions[mine]
                self._offset[source][olds[mine]] = offsets[mine]

    def find(self, partition: Longs, offset: Longs) -> tuple[Longs, Longs]:
        """The new places of old ones, -1 where nothing was copied from there."""
        new_partition, new_offset = (np.full(len(offset), -1, np.int64) for _ in range(2))
        for source, end in enumerate(map(len, self._offset)):
            mine = np.flatnonzero((partition == source) & (offset >= 0) & (offset < end))
            new_partition[mine] = self._partition[source][offset[mine]]
            new_offset[mine] = self._offset[source][offset[mine]]
        return new_partition, new_offset


def mapped_ledger(ledger: Any, places: Map) -> tuple[Any, int]:
    """The ledger (LEDGER_SCHEMA) with the new log's places, and how many of its rows are left out.

    Left out are acknowledged rows whose record wasn't copied: it lies past what was copied so far. Rows that failed or whose
    fate is unknown have no place, and keep none.
    """
    acknowledged = pc.equal(ledger["status"], Status.ACKNOWLEDGED.label).to_numpy()
    old_partition, old_offset = (
        ledger[name].fill_null(-1).combine_chunks().to_numpy().astype(np.int64) for name in ("partition", "offset")
    )
    partition, offset = places.find(old_partition, old_offset)
    placed = acknowledged & (offset >= 0)
    columns = {name: ledger[name] for name in LEDGER_SCHEMA.names}
    columns["partition"] = pa.array(partition, pa.int32(), mask=~placed)
    columns["offset"] = pa.array(offset, pa.int64(), mask=~placed)
    keep = placed | ~acknowledged
    return pa.table(columns, schema=LEDGER_SCHEMA).filter(pa.array(keep)), int((~keep).sum())


def map_ledger(old: Settings, new: Settings, places: Map) -> tuple[int, int]:
    """Write the old run's ledger, mapped, among the new run's; rows written, and left out. Without a ledger: nothing."""
    ledger = read_ledger(old)
    if not ledger.num_rows:
        return 0, 0
    new.ledger_dir.mkdir(parents=True, exist_ok=True)
    path = new.ledger_dir / f"repartitioned-from-{old.run}.parquet"
    unfinished = path.with_suffix(".joining")
    written = left_out = 0
    with pq.ParquetWriter(unfinished, LEDGER_SCHEMA, compression="zstd") as writer:
        for first in range(0, ledger.num_rows, AT_ONCE):
            mapped, missing = mapped_ledger(ledger.slice(first, AT_ONCE), places)
            writer.write_table(mapped)
            written, left_out = written + mapped.num_rows, left_out + missing
    os.replace(unfinished, path)
    return written, left_out
