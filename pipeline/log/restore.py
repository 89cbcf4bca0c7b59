"""Restore what classify knows of a partition from the tail of `plays`: the log is the state.

1. find the last valid record: it has the watermark, the next source offset and the rules
2. seek by time to where the oldest id that can still matter was written, and prove that the log reaches back to it
3. fold every valid record from there to the end
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipeline.codec.container import PLAYS_SCHEMA, read_container
from pipeline.codec.ids import split_ids
from pipeline.dedup.decide import Memory
from pipeline.errors import RefusedError, UnavailableError
from pipeline.log.batch import listens_of
from pipeline.log.read import Log, Record
from pipeline.log.since import REPLAY, last_valid, valid_since
from pipeline.outcomes import Outcome
from pipeline.rules import Rules, differences


@dataclass(slots=True)
class Restored:
    """A partition's memory, the offset in `plays` that its next record must get, and the id of the source topic that its
    offsets are of (empty where nothing was written yet)."""

    memory: Memory
    at: int
    source: str = ""


def ids_since(watermark: int, rules: Rules) -> int:
    """From which watermark on (epoch ms) records hold ids that can still matter to a partition at `watermark`."""
    return watermark - rules.horizon_ms - rules.slot_ms - rules.max_ahead_ms


def restore_memory(reader: Log, topic: str, partition: int, rules: Rules) -> Restored:
    """Raises RefusedError where the log was written under other rules, or lost what is needed; UnavailableError."""
    low, high = reader.bounds(topic, partition)
    tail = last_valid(reader, topic, partition, low, high)
    memory = Memory()
    if tail is None:
        if low > 0:
            raise RefusedError(
                f"{topic} partition {partition} was cut: it begins at offset {low} and holds no outcome, so what was "
                f"decided and the ids that classify must remember are gone; {REPLAY}"
            )
        return Restored(memory, high)
    _, last = tail
    check_rules(topic, partition, last.rules, rules)
    oldest = ids_since(last.watermark, rules)
    for record, headers in valid_since(reader, topic, partition, low, high, oldest, "ids that classify must remember"):
        _fold(memory, record, rules, last.watermark)
        memory.watermark, memory.next_offset = headers.watermark, headers.last + 1
    if memory.next_offset != last.last + 1:
        raise UnavailableError(
            f"{topic} partition {partition} was read up to {memory.next_offset}, it holds {last.last + 1}"
        )
    return Restored(memory, high, last.source)


def check_rules(topic: str, partition: int, written: str, rules: Rules) -> None:
    """Raises RefusedError where the log was written under other rules; `written`: the fingerprint of those."""
    if written != rules.fingerprint:
        raise RefusedError(
            f"{topic} partition {partition} was classified under other rules "
            f"({'; '.join(differences(rules.fingerprint, written))}): "
            "set them back, or replay into a new run (LISTENING_RUN)"
        )


def _fold(memory: Memory, record: Record, rules: Rules, watermark: int) -> None:
    """Take what a record holds that can still matter to a partition at `watermark`."""
    columns = ["offset", "event_id", "first_offset", "user_id", "track_id", "played_at", "service", "outcome"]
    rows = read_container(record.value, PLAYS_SCHEMA, columns)
    rows = rows.filter(~pl.col("outcome").is_in([Outcome.DUPLICATE.label, Outcome.INVALID.label]))
    if not rows.height:
        return
    head, tail = split_ids(rows["event_id"])
    played_at = rows["played_at"].to_physical()
    slot, oldest = (played_at.to_numpy() // rules.slot_ms).astype(np.int32), (watermark - rules.horizon_ms) // rules.slot_ms
    memory.seen.remember(head, tail, slot, rows["offset"].to_numpy(), oldest)
    if rules.near_tolerance is not None:
        # What is a near-duplicate itself has the offset of another row.
        rows = rows.filter(
            (pl.col("outcome") == Outcome.ACCEPTED.label)
            & (pl.col("first_offset") == pl.col("offset"))
            & (played_at >= rules.near_since(watermark))
        )
        memory.near.remember(listens_of(rows))
