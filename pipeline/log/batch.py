"""A classified batch as a `plays` record: every source record of the range as a row, ticks as a number."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipeline.codec.container import PLAYS_SCHEMA, write_container
from pipeline.codec.decode import Decoded, Refused
from pipeline.codec.event_columns import ENUMS
from pipeline.codec.headers import PlaysHeaders
from pipeline.codec.ids import join_ids
from pipeline.dedup.decide import Decisions, Events, Memory, decide
from pipeline.dedup.near import Listens
from pipeline.outcomes import LABELS, Outcome
from pipeline.rules import Rules

_LABELS = pl.Series("outcome", LABELS, pl.String)
_PLATFORMS = pl.Series("platform", ENUMS["platform"], pl.String)
_MS = pl.Datetime("ms")


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
        rows = pl.concat([rows, _refused_rows(decoded.refused)]).sort("offset")
    return PlaysRecord(
        first=decoded.first,
        last=decoded.last,
        counts=tuple(counts.tolist()),
        ticks=len(decoded.ticks),
        absent=decoded.absent,
        watermark=memory.watermark,
        value=write_container(rows, "Play") if rows.height else b"",
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
    services = frame["service"].unique()
    return Listens(
        offset=frame["offset"].to_numpy(),
        user_id=frame["user_id"].to_numpy(),
        track_id=frame["track_id"].to_numpy(),
        played_at=frame["played_at"].to_physical().to_numpy(),
        service=frame["service"].cast(pl.Enum(services)).to_physical().cast(pl.Int32).to_numpy(),
        services=tuple(services),
    )


def _rows(frame: pl.DataFrame, decisions: Decisions) -> pl.DataFrame:
    return pl.DataFrame(
        [
            frame["offset"],
            frame["appended_at"].cast(_MS),
            pl.Series("event_time", decisions.event_time).cast(_MS),
            join_ids(frame["id_head"].to_numpy(), frame["id_tail"].to_numpy()),
            pl.Series("first_offset", decisions.first_offset),
            frame["user_id"],
            frame["artist_id"],
            frame["track_id"],
            frame["played_at"].cast(_MS),
            frame["sent_at"].cast(_MS),
            frame["ms_played"].cast(pl.Int32),
            _PLATFORMS.gather(frame["platform"]),
            frame["service"],
            frame["country"],
            _LABELS.gather(pl.Series(decisions.outcome)),
        ],
        schema=PLAYS_SCHEMA,
    )


def _refused_rows(refused: list[Refused]) -> pl.DataFrame:
    rows = [(entry.offset, entry.appended_at, Outcome.INVALID.label) for entry in refused]
    known = pl.DataFrame(rows, {"offset": pl.Int64, "appended_at": pl.Int64, "outcome": pl.String}, orient="row")
    nulls = [pl.lit(None, dtype).alias(name) for name, dtype in PLAYS_SCHEMA.items() if name not in known.columns]
    return known.with_columns(pl.col("appended_at").cast(_MS), *nulls).select(PLAYS_SCHEMA.keys())
