"""Range checks on columns: what decodes and still cannot be."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

import schemas
from pipeline.codec.event_columns import ENUMS
from pipeline.codec.murmur import partition_of
from pipeline.codec.records import Refused

Mask = npt.NDArray[np.bool_]


def split_implausible(
    events: pl.DataFrame, partition: int, partitions: int, max_ahead_ms: int
) -> tuple[pl.DataFrame, list[Refused]]:
    """The plausible events, and a refusal for each other one, naming the first rule that it breaks."""
    if not events.height:
        return events, []
    refused: dict[int, Refused] = {}
    for reason, message, wrong in _checks(events, partition, partitions, max_ahead_ms):
        if not wrong.any():
            continue
        offsets, appended = events["offset"].to_numpy(), events["appended_at"].to_numpy()
        for row in np.flatnonzero(wrong).tolist():
            refused.setdefault(row, Refused(int(offsets[row]), int(appended[row]), reason, message))
    if not refused:
        return events, []
    keep = np.ones(events.height, np.bool_)
    keep[list(refused)] = False
    return events.filter(pl.Series(keep)), [refused[row] for row in sorted(refused)]


def _checks(events: pl.DataFrame, partition: int, partitions: int, max_ahead_ms: int) -> Iterator[tuple[str, str, Mask]]:
    limits = schemas.limits()
    size = events["value_bytes"].to_numpy()
    yield "too_large", f"an event has at most {limits.max_event_bytes} bytes", size > limits.max_event_bytes
    key = events["key"].to_numpy()
    yield "wrong_key", "the key is not user_id, 8 bytes big-endian", key != events["user_id"].to_numpy().view(np.uint64)
    misrouted = partition_of(key, partitions) != partition
    yield "misrouted", f"by murmur2 its key belongs in another of the {partitions} partitions", misrouted
    for name, allowed in limits.integers.items():
        values = events[name].to_numpy()
        wrong = (values < allowed.min) | (values > allowed.max)
        yield "implausible", f"{name} is not from {allowed.min} to {allowed.max}", wrong
    for name, symbols in ENUMS.items():
        values = events[name].to_numpy()
        yield "implausible", f"{name} is none of {', '.join(symbols)}", (values < 0) | (values >= len(symbols))
    for name, allowed in limits.strings.items():
        sizes = events[name].str.len_bytes().to_numpy()
        wrong = (sizes < allowed.min) | (sizes > allowed.max)
        span = f"{allowed.min}" if allowed.min == allowed.max else f"{allowed.min} to {allowed.max}"
        yield "implausible", f"{name} has not {span} bytes", wrong
    ahead = events["played_at"].to_numpy() > events["appended_at"].to_numpy() + max_ahead_ms
    yield "ahead", f"played_at is more than {max_ahead_ms} ms after the record was appended", ahead
