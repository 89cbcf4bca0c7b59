"""Restore what classify knows of a partition from the tail of `plays`: the log is the state.

1. find the last valid record: it has the watermark, the next source offset and the rules
2. seek by time to where the oldest id that can still matter was written
3. fold every valid record from there to the end
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipeline.codec.container import PLAYS_SCHEMA, read_container
from pipeline.codec.headers import PlaysHeaders
from pipeline.codec.ids import split_ids
from pipeline.dedup.decide import Memory
from pipeline.errors import RefusedError, UnavailableError
from pipeline.log.read import Log, Record, look_back
from pipeline.outcomes import Outcome
from pipeline.rules import Rules, differences


@dataclass(slots=True)
class Restored:
    """A partition's memory, the offset in `plays` that its next record must get, and the id of the source topic that its
    offsets are of (empty where nothing was written yet)."""

    memory: Memory
    at: int
    source: str = ""


def restore_memory(reader: Log, topic: str, partition: int, rules: Rules) -> Restored:
    """Raises RefusedError where the log was written under other rules, or was cut; UnavailableError."""
    low, high = reader.bounds(topic, partition)
    last = last_valid(reader, topic, partition, low, high)
    memory = Memory()
    if last is None:
        if low > 0:
            raise RefusedError(f"{topic} partition {partition} begins at {low} and holds no valid record: it was cut")
        return Restored(memory, high)
    check_rules(topic, partition, last, rules)
    oldest = last.watermark - rules.horizon_ms - rules.slot_ms - rules.max_ahead_ms
    expected: int | None = None
    for record in reader.read(topic, partition, max(low, reader.offset_at(topic, partition, oldest)), high):
        headers = PlaysHeaders.valid_at(record.offset, record.headers)
        if headers is None:
            continue
        check_contiguous(topic, partition, record.offset, headers, expected)
        expected = headers.last + 1
        _fold(memory, record, rules)
        memory.watermark, memory.next_offset = headers.watermark, expected
    if memory.next_offset != last.last + 1:
        raise UnavailableError(
            f"{topic} partition {partition} was read up to {memory.next_offset}, it holds {last.last + 1}"
        )
    return Restored(memory, high, last.source)


def last_valid(reader: Log, topic: str, partition: int, low: int, high: int) -> PlaysHeaders | None:
    """Headers of the last valid record below `high`, or None."""

    def pick(records: Iterator[Record]) -> PlaysHeaders | None:
        found = None
        for record in records:
            found = PlaysHeaders.valid_at(record.offset, record.headers) or found
        return found

    return look_back(reader, topic, partition, low, high, pick)


def check_rules(topic: str, partition: int, headers: PlaysHeaders, rules: Rules) -> None:
    """Raises RefusedError where the log was written under other rules."""
    if headers.rules != rules.fingerprint:
        raise RefusedError(
            f"{topic} partition {partition} was classified under other rules "
            f"({'; '.join(differences(rules.fingerprint, headers.rules))}): "
            "set them back, or replay into a new run (LISTENING_RUN)"
        )


def check_contiguous(topic: str, partition: int, offset: int, headers: PlaysHeaders, expected: int | None) -> None:
    """Raises RefusedError where a valid record does not follow the one before; `expected` None: it is the first read."""
    if expected is not None and headers.first != expected:
        raise RefusedError(
            f"{topic} partition {partition} offset {offset} begins at source offset {headers.first}, "
            f"{expected} was to follow: the log was damaged, and nothing behind this can be trusted"
        )


def _fold(memory: Memory, record: Record, rules: Rules) -> None:
    rows = read_container(record.value, PLAYS_SCHEMA, ["offset", "event_id", "played_at", "outcome"])
    rows = rows.filter(~pl.col("outcome").is_in([Outcome.DUPLICATE.label, Outcome.INVALID.label]))
    if not rows.height:
        return
    head, tail = split_ids(rows["event_id"])
    slot = (rows["played_at"].to_physical().to_numpy() // rules.slot_ms).astype(np.int32)
    memory.seen.remember(head, tail, slot, rows["offset"].to_numpy())
