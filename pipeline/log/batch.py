"""A classified batch as a `plays` record: every source record of the range as a row, ticks as a number."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from pipeline.codec.container import PLAYS_SCHEMA, write_rows
from pipeline.codec.decode import Decoded, Refused
from pipeline.codec.event_columns import ENUMS
from pipeline.codec.headers import PlaysHeaders
from pipeline.dedup.decide import Decisions, Events, Memory, decide
from pipeline.dedup.near import Listens
from pipeline.outcomes import LABELS, Outcome
from pipeline.rules import Rules

_MS = pa.timestamp("ms")
_ID = pa.binary(16)
_OLDEST = pl.CompatLevel.oldest()
# By polars: pa.array() would import pandas, which takes seconds and 50 MB.
_LABELS = pl.Series(LABELS).to_arrow(compat_level=_OLDEST)
_PLATFORMS = pl.Series(ENUMS["platform"]).to_arrow(compat_level=_OLDEST)
_KNOWN_OF_INVALID = ("offset", "appended_at", "outcome")


@dataclass(frozen=True, slots=True)
class PlaysRecord:
    """One record for `plays`, still without its place in the log."""

    first: int
    last: int
    counts: tuple[int, ...]
    ticks: int
    absent: int
    watermark: int
    value: bytes

    def headers(self, at: int, rules: str, source: str = "") -> PlaysHeaders:
        return PlaysHeaders(at, self.first, self.last, self.counts, self.ticks, self.absent, self.watermark, rules, source)


def classify(memory: Memory, decoded: Decoded, rules: Rules) -> PlaysRecord:
    """Fold a decoded range into the memory; the outcomes as a record."""
    frame = decoded.events
    ticks = [(tick.offset, min(tick.clock, tick.appended_at)) for tick in decoded.ticks]
    decisions = decide(memory, events_of(frame, rules), ticks, decoded.last + 1, rules)
    counts = np.bincount(decisions.outcome, minlength=len(Outcome))
    counts[Outcome.INVALID] = len(decoded.refused)
    rows = _rows(frame, decisions)
    if decoded.refused:
        rows = _with_refused(rows, decoded.refused)
    return PlaysRecord(
        first=decoded.first,
        last=decoded.last,
        counts=tuple(counts.tolist()),
        ticks=len(decoded.ticks),
        absent=decoded.absent,
        watermark=memory.watermark,
        value=write_rows(rows) if rows.num_rows else b"",
    )


def events_of(frame: pl.DataFrame, rules: Rules) -> Events:
    """What is decided by, of a frame of `FRAME_SCHEMA`."""
    return Events(
        offset=frame["offset"].to_numpy(),
        appended_at=frame["appended_at"].to_numpy(),
        id_head=frame["id_head"].to_numpy(),
        id_tail=frame["id_tail"].to_numpy(),
        played_at=frame["played_at"].to_numpy(),
        ms_played=frame["ms_played"].to_numpy(),
        listens=None if rules.near_tolerance is None else listens_of(frame),
    )


def listens_of(frame: pl.DataFrame) -> Listens:
    """What near-duplicates are found by, of a frame with these columns; played_at as integers or `Datetime("ms")`."""
    codes, services = _coded(frame["service"])
    return Listens(
        offset=frame["offset"].to_numpy(),
        user_id=frame["user_id"].to_numpy(),
        track_id=frame["track_id"].to_numpy(),
        played_at=frame["played_at"].to_physical().to_numpy(),
        service=codes,
        services=tuple(services.to_pylist()),
    )


def _coded(texts: pl.Series) -> tuple[npt.NDArray[np.int32], pa.Array]:
    """Each text as an index into those there are, in the order in which they come. (Polars' ways cost a small batch more
    than all the rest: each is a query.)"""
    packed = texts.rechunk().to_arrow(compat_level=_OLDEST).dictionary_encode()
    return packed.indices.to_numpy(), packed.dictionary


def _rows(frame: pl.DataFrame, decisions: Decisions) -> pa.RecordBatch:
    """A row for each event, columns as in `PLAYS_SCHEMA`; hardly anything is copied."""
    numbers = {name: frame[name].to_numpy() for name in ("offset", "user_id", "artist_id", "track_id")}
    times = {name: frame[name].to_numpy() for name in ("appended_at", "played_at", "sent_at")}
    columns = {name: _array(values, pa.int64()) for name, values in numbers.items()}
    columns |= {name: _array(values, _MS) for name, values in times.items()}
    columns |= {
        "event_time": _array(decisions.event_time, _MS),
        "event_id": _array(np.stack([frame["id_head"].to_numpy(), frame["id_tail"].to_numpy()], axis=1), _ID),
        "first_offset": _array(decisions.first_offset, pa.int64()),
        "ms_played": _array(frame["ms_played"].to_numpy().astype(np.int32), pa.int32()),
        "platform": _named(frame["platform"].to_numpy(), _PLATFORMS),
        "outcome": _named(decisions.outcome, _LABELS),
    }
    for name in ("service", "country"):
        codes, texts = _coded(frame[name])
        columns[name] = _named(codes, texts)
    return pa.RecordBatch.from_arrays([columns[name] for name in PLAYS_SCHEMA], names=list(PLAYS_SCHEMA))


def _array(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    """The memory of the values as Arrow's."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _named(codes: npt.NDArray[Any], texts: pa.Array) -> pa.DictionaryArray:
    """Texts by their index, one byte each where that is enough."""
    narrow, kind = (np.int8, pa.int8()) if len(texts) <= 128 else (np.int32, pa.int32())
    return pa.DictionaryArray.from_arrays(_array(codes.astype(narrow), kind), texts)


def _with_refused(rows: pa.RecordBatch, refused: list[Refused]) -> pa.RecordBatch:
    """Rows of events and of what was refused, of which nothing but place, time and outcome is known, by offset."""
    known = {
        "offset": np.array([entry.offset for entry in refused], np.int64),
        "appended_at": np.array([entry.appended_at for entry in refused], np.int64),
        "outcome": np.full(len(refused), Outcome.INVALID, np.int8),
    }
    order = np.argsort(np.concatenate([rows["offset"].to_numpy(), known["offset"]]))
    # A null index is a null row.
    there = pl.Series(np.where(order < rows.num_rows, order, -1))
    places = there.set(there < 0, None).to_arrow()
    columns = []
    for name, column in zip(PLAYS_SCHEMA, rows.columns, strict=True):
        if name not in _KNOWN_OF_INVALID:
            columns.append(column.take(places))
            continue
        codes = column.indices if name == "outcome" else column.view(pa.int64())
        joined = np.concatenate([codes.to_numpy(), known[name]])[order]
        columns.append(_named(joined, _LABELS) if name == "outcome" else _array(joined, column.type))
    return pa.RecordBatch.from_arrays(columns, names=list(PLAYS_SCHEMA))
