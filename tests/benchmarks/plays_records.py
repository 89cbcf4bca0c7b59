"""`plays` records of a scenario as classify writes them, without classifying: outcomes follow from the records' kinds."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.codec.container import PLAYS_SCHEMA, write_rows
from pipeline.codec.headers import PlaysHeaders
from pipeline.outcomes import LABELS, Outcome
from pipeline.settings import load
from pipeline.store.records import Record
from producers.columns import Array, Columns, height, take
from producers.kinds import Kind
from producers.listeners.people import COUNTRIES, PLATFORMS, SERVICES
from producers.scenarios.load import load_scenario
from producers.world import build_world

START = 1_795_392_000_000
PARTITIONS = 4
MILLIS = pa.timestamp("ms")


def plays_records(events: int, rules: str) -> Iterator[Record]:
    """So many events of `demo`, played in 20 minutes, in records of about 12,000 rows; a partition's records in order."""
    scenario = load_scenario("demo").model_copy(update={"events": events, "minutes": 20, "release": None})
    next_source, next_at = [0] * PARTITIONS, [0] * PARTITIONS
    for step in build_world(scenario).records(load().rules, START):
        for partition in range(PARTITIONS):
            rows = take(step, step["user_id"] % PARTITIONS == partition)
            if not (count := height(rows)):
                continue
            first, at = next_source[partition], next_at[partition]
            outcome = _outcomes(rows)
            counts = tuple(np.bincount(outcome, minlength=len(Outcome)).tolist())
            last, watermark = first + count - 1, int(rows["true_sent_at"][-1])
            headers = PlaysHeaders(at, first, last, counts, 0, 0, watermark, rules)
            yield Record(partition, at, headers.encode(), _value(rows, first, outcome))
            next_source[partition], next_at[partition] = last + 1, at + 1


def _outcomes(rows: Columns) -> Array:
    first = np.where(rows["ms_played"] < 30_000, Outcome.SKIPPED, Outcome.ACCEPTED)
    return np.where(rows["kind"] == Kind.PLAY, first, Outcome.DUPLICATE)


def _value(rows: Columns, first: int, outcome: Array) -> bytes:
    offset = np.arange(first, first + height(rows))
    numbers = {name: rows[name] for name in ("user_id", "artist_id", "track_id")}
    times = {name: rows[name] for name in ("played_at", "sent_at")}
    times |= {"appended_at": rows["true_sent_at"], "event_time": rows["played_at"]}
    numbers |= {"offset": offset, "first_offset": np.where(outcome == Outcome.DUPLICATE, first, offset)}
    words: dict[str, tuple[Array, Sequence[str]]] = {
        "platform": (rows["platform"], PLATFORMS),
        "service": (rows["service"], SERVICES),
        "country": (rows["country"], COUNTRIES),
        "outcome": (outcome, LABELS),
    }
    columns: dict[str, Any] = {name: _array(values, pa.int64()) for name, values in numbers.items()}
    columns |= {name: _array(values, MILLIS) for name, values in times.items()}
    columns |= {
        name: pa.DictionaryArray.from_arrays(_array(codes.astype(np.int8), pa.int8()), pa.array(list(texts)))
        for name, (codes, texts) in words.items()
    }
    columns["event_id"] = _array(rows["event_id"], pa.binary(16))
    columns["ms_played"] = _array(rows["ms_played"].astype(np.int32), pa.int32())
    return write_rows(pa.RecordBatch.from_arrays([columns[name] for name in PLAYS_SCHEMA], names=list(PLAYS_SCHEMA)))


def _array(values: Array, kind: Any) -> Any:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])
