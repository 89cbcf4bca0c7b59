"""The embedded engine on a disk that fills up: what it wrote then is not trusted.

chDB (4.4, engine 26.9) takes a write(2) that fails with ENOSPC for done: CREATE leaves an empty file, an insert or a merge a
broken part, and both are said to have succeeded. A ClickHouse server says so (243, 75) and needs none of this. So here:

1. the engine keeps STORE_KEEPS free when it reserves room for inserts and merges (code 243: wait), others may still take it
2. after each insert, and once a second for the merges: where fewer than STORE_FULL bytes are free, nothing is committed
   and the process ends with exit 70
3. started again, it waits for room before it opens the engine, which sets broken parts aside and takes the sources of a
   broken merge back; what was not committed is read again. Not open meanwhile, as it deletes such sources after 8 minutes.
"""

from pathlib import Path

import pyarrow as pa

from pipeline.errors import UnavailableError
from pipeline.room import STORE_FULL, STORE_KEEPS, free_bytes, full
from pipeline.store.writer import Writer

ENGINE_OPTIONS = {"storage_configuration.disks.default.keep_free_space_bytes": str(STORE_KEEPS)}
"""Of the embedded engine, the same whenever it is opened: room that neither inserts nor merges may reserve."""


def refuse_full(folder: Path) -> None:
    """Raise UnavailableError where the disk is so full that the engine in `folder` must be opened anew."""
    if (free := free_bytes(folder)) < STORE_FULL:
        raise UnavailableError(f"{full('the store', folder, free, STORE_KEEPS)}, after a new start")


class DistrustfulWriter:
    """A writer over the embedded engine in `folder`, whose word counts only while there is room."""

    def __init__(self, writer: Writer, folder: Path) -> None:
        self._writer, self._folder = writer, folder

    def write(self, table: str, rows: pa.Table) -> None:
        """As Writer.write; raises UnavailableError where the disk is full, whatever the engine says."""
        try:
            self._writer.write(table, rows)
        finally:
            refuse_full(self._folder)
