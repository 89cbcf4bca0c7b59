"""The documents of what a run is doing now, as JSON. Instants are ISO 8601, UTC, null where there is none."""

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel

Kind = Literal["retry", "resent", "replayed", "cross_service", "unknown_first"]


class Place(BaseModel):
    """A place of the ranked list."""

    rank: int
    artist_id: int
    name: str | None
    plays: int


class Top(BaseModel):
    """The top artists of the run's window, as /v1/top-artists answers."""

    run: str
    rows: list[Place]
    start: str | None
    end: str | None
    window_seconds: int
    final: bool
    watermark: str | None
    source: Literal["panes"]
    note: str
    age_ms: int
    max_age_ms: int


class Rates(BaseModel):
    """Per second, over the last few states; 0 where unknown."""

    records_per_second: float = 0
    accepted_per_second: float = 0
    duplicates_per_second: float = 0
    late_per_second: float = 0
    skipped_per_second: float = 0
    suspect_per_second: float = 0
    invalid_per_second: float = 0


class Totals(BaseModel):
    """Records of the source by outcome, since the run began; ticks are no records."""

    records: int = 0
    ticks: int = 0
    accepted: int = 0
    duplicates: int = 0
    late: int = 0
    skipped: int = 0
    suspect: int = 0
    invalid: int = 0


class Lag(BaseModel):
    """Records that wait for each stage; null where it can't be told."""

    classify: int | None
    count: int | None
    rank: int | None
    sink: int | None


class PartitionState(BaseModel):
    """A partition of the source; `lag` is that of classify."""

    partition: int
    records: int
    accepted: int
    duplicates: int
    watermark: str | None
    lag: int | None


class Copies(BaseModel):
    """Copies of one kind."""

    kind: Kind
    count: int


class DeadLetters(BaseModel):
    """`records` in the queue; `reasons` of those read so far, which are soon all."""

    records: int | None
    reasons: dict[str, int]


class Freshness(BaseModel):
    """Ends of published windows; by how much the watermark is past the newest final one's."""

    newest_window_end: str | None
    newest_final_end: str | None
    final_behind_seconds: float | None


class State(BaseModel):
    """All at once.

    `age_seconds`: how old what the engine and Kafka told is; null where they never did. `duplicates_pending`: source
    offsets whose copies are not told apart yet. `event_lag_seconds`: by how much the watermark is behind the clock; null
    in a replay, which has a clock of its own.
    """

    at: str
    run: str
    ready: bool
    reasons: list[str]
    watermark: str | None
    event_lag_seconds: float | None
    top: Top
    rates: Rates
    totals: Totals
    lag: Lag
    partitions: list[PartitionState]
    duplicates: list[Copies]
    duplicates_pending: int
    dlq: DeadLetters
    freshness: Freshness
    age_seconds: dict[Literal["clickhouse", "kafka"], float | None]


class Dependency(BaseModel):
    """One thing that the run needs; `reason`: why it isn't well, empty where it is."""

    ok: bool
    reason: str


class Dependencies(BaseModel):
    kafka: Dependency
    clickhouse: Dependency
    sinks: Dependency
    classify: Dependency
    rank: Dependency


class Ready(BaseModel):
    """Whether the whole run is at work."""

    status: Literal["ready", "not ready"]
    dependencies: Dependencies


class Health(BaseModel):
    status: Literal["alive"] = "alive"


def iso(ms: int | None) -> str | None:
    """Epoch ms as text; None for 0, which means that there is none."""
    if not ms:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
