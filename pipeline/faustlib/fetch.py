"""aiokafka's fetcher hands over the fetched bytes of a partition instead of an object per record.

Its module's `MemoryRecords` and `PartitionRecords` are private: aiokafka is pinned exactly, and tests hold this.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiokafka.consumer import fetcher

from pipeline.codec.batches import Batch, walk
from pipeline.errors import RefusedError, damaged
from pipeline.faustlib.exit import fail


@dataclass(frozen=True, slots=True)
class Fetch:
    """What one fetch brought of a partition: whole batches, in log order.

    `first`: the position that was asked for; the first batch may begin before it, or after it where the log has a hole.
    `next`: the position that follows.
    """

    topic: str
    partition: int
    first: int
    next: int
    batches: list[Batch]

    # What Faust's consumer reads of a record, besides topic and partition.
    @property
    def offset(self) -> int:
        return self.next - 1


class _RawRecords:
    """In place of `MemoryRecords`: the complete batches of a fetch, or why they can't be had."""

    def __init__(self, data: bytes) -> None:
        self._size, self.damage = len(data), ""
        self.batches: list[Batch] = []
        try:
            self.batches = walk(data)
        except RefusedError as error:
            self.damage = str(error)  # of which partition, `_WholePartition` is told

    def has_next(self) -> bool:
        return bool(self.batches or self.damage)

    def size_in_bytes(self) -> int:
        return self._size


class _WholePartition:
    """In place of `PartitionRecords`: an iterator of one item, the fetch."""

    def __init__(self, tp: Any, records: _RawRecords, _aborted: Any, fetch_offset: int, *_unused: Any) -> None:
        if records.damage:
            # In aiokafka's own task, where an exception would end the fetching and nobody would hear of it.
            fail(damaged(tp.topic, tp.partition, records.damage))
        following = max(fetch_offset, records.batches[-1].last + 1)
        self._fetch: Fetch | None = Fetch(tp.topic, tp.partition, fetch_offset, following, records.batches)
        self.next_fetch_offset = fetch_offset  # compared with the position before anything is handed over

    def __iter__(self) -> Iterator[Fetch]:
        return self

    def __next__(self) -> Fetch:
        fetch, self._fetch = self._fetch, None
        if fetch is None:
            raise StopIteration
        self.next_fetch_offset = fetch.next
        return fetch


def install() -> None:
    """Make every aiokafka consumer of this process hand over whole fetches."""
    fetcher.MemoryRecords = _RawRecords
    fetcher.PartitionRecords = _WholePartition
