"""Event ids as columns: two unsigned little-endian halves, or 16 bytes a row."""

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Ids = npt.NDArray[np.uint64]


def split_ids(ids: pl.Series) -> tuple[Ids, Ids]:
    """16-byte ids as two columns of unsigned little-endian halves."""
    packed = ids.to_arrow().cast(pa.large_binary())
    if isinstance(packed, pa.ChunkedArray):
        packed = packed.combine_chunks()
    offsets = np.frombuffer(packed.buffers()[1], np.int64)
    data = np.frombuffer(packed.buffers()[2], np.uint8)
    begin = int(offsets[packed.offset])
    halves = data[begin : begin + 16 * len(packed)].view("<u8").reshape(-1, 2)
    return halves[:, 0].copy(), halves[:, 1].copy()


def join_ids(head: Ids, tail: Ids) -> pl.Series:
    """The inverse of `split_ids`."""
    packed = np.stack([head, tail], axis=1).astype("<u8", copy=False)
    array = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(head), [None, pa.py_buffer(packed)])
    return pl.Series("event_id", array.cast(pa.large_binary()), pl.Binary)
