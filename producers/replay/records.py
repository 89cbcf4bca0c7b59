"""Records of a source log as they are copied, and where each belongs under another number of partitions. Pure."""

from collections.abc import Iterator, Sequence
from heapq import merge
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.codec.event_fields import NotAnEventError
from pipeline.codec.murmur import partition_of
from pipeline.codec.records import tick_clock

KEY_BYTES = 8
_NO_KEY = bytes(KEY_BYTES)


class Record(NamedTuple):
    """A record of a source log. The first three fields are the order of the replay; `appended_at` is the record's broker
    time (epoch ms, of whichever kind the topic has; -1: none). `headers` is None where they can't be read: a name of any
    bytes but UTF-8 is no text."""

    appended_at: int
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]] | None


def merged(partitions: Sequence[Iterator[Record]]) -> Iterator[Record]:
    """All records, each partition's in its own order, and of the partitions' next ones always the smallest.

    Where broker time never goes back within a partition that is the order of (appended_at, partition, offset). Which
    record comes next depends on what each partition has left and on nothing else: so it can go on from any position.
    """
    return merge(*partitions)


class Homes(NamedTuple):
    """For records in a row: `old` and `new` partitions of their keys by murmur2, -1 for keys that aren't 8 bytes."""

    old: npt.NDArray[np.int64]
    new: npt.NDArray[np.int64]


def homes(records: Sequence[Record], old: int, new: int) -> Homes:
    """Where each record's key belongs under `old` and under `new` partitions."""
    usable = [record.key is not None and len(record.key) == KEY_BYTES for record in records]
    keys = b"".join([record.key or b"" if fits else _NO_KEY for record, fits in zip(records, usable, strict=True)])
    numbers = np.frombuffer(keys, ">u8").astype(np.uint64)
    fit = np.array(usable, np.bool_)
    return Homes(*(np.where(fit, partition_of(numbers, count).astype(np.int64), -1) for count in (old, new)))


def tick_of(record: Record) -> int | None:
    """The clock of a tick, capped by its broker time (epoch ms); None where the record is no valid tick."""
    if record.value is not None:
        return None
    try:
        return min(tick_clock(record.headers or ()), record.appended_at)
    except NotAnEventError:
        return None


def same_content(record: Record, other: Record) -> bool:
    """Whether two records have the same time, key, value and headers (unreadable ones are none), wherever they lie."""
    return _content(record) == _content(other)


def _content(record: Record) -> tuple[Any, ...]:
    return record.appended_at, record.key, record.value, record.headers or []
