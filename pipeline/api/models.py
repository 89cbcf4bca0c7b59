"""The answers of the questions."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-26T08:37:30.000Z"])]


def instant(ms: int) -> str:
    """ISO 8601, UTC, with milliseconds."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{ms % 1000:03}Z"


def instant_or_none(ms: int) -> str | None:
    """0 is none."""
    return instant(ms) if ms else None


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Aged(Answer):
    """An answer that may have been computed for somebody else before; the cache fills in how old it is."""

    age_ms: int = Field(default=0, ge=0, description="how long before you asked the engine was asked, ms")
    max_age_ms: int = Field(default=0, ge=0, description="what that is at most, ms: LISTENING_API_CACHE_SECONDS")


class RankedArtist(Answer):
    rank: int = Field(ge=1)
    artist_id: int
    name: str | None = Field(description="null where the `artists` topic has none")
    plays: int


class TopList(Answer):
    """A ranked list of the window [start, end): plays descending, then artist_id ascending."""

    run: str
    rows: list[RankedArtist]
    start: Instant | None = Field(description="null where there is no window yet")
    end: Instant | None
    window_seconds: int
    final: bool = Field(description="nothing that counts can still come")
    watermark: Instant | None = Field(description="the global watermark; null while a partition has sent nothing")
    source: Literal["panes", "plays", "published"] = Field(description="what was counted")
    note: str = Field(description="what was rounded or is missing, empty where nothing")


class TopAnswer(Aged, TopList):
    """As TopList."""


class Point(Answer):
    start: Instant
    plays: int


class _Steps(Aged):
    step_seconds: int
    points: list[Point] = Field(description="every step, also those without a play")
    note: str = Field(description="what was rounded or is missing, empty where nothing")


class ArtistTimeline(_Steps):
    artist_id: int
    name: str | None


class RunTimeline(_Steps):
    first: Instant | None = Field(description="when the run's first pane begins")
    watermark: Instant | None = Field(description="the global watermark")


class Duplicate(Answer):
    event_id: str
    partition: int
    offset: int
    first_offset: int = Field(description="of the record that it repeats, in the same partition")
    user_id: int
    artist_id: int
    track_id: int
    played_at: Instant
    sent_at: Instant
    appended_at: Instant
    platform: str
    service: str
    country: str


class DuplicatesPage(Aged):
    rows: list[Duplicate] = Field(description="by partition and offset")
    next: str | None = Field(description="`cursor` of the next page; null at the end")


class Copy(Answer):
    event_id: str
    partition: int
    offset: int
    outcome: Literal["accepted", "late", "suspect", "duplicate"]
    first_offset: int = Field(description="of the record that it repeats, its own where it repeats none")
    service: str
    platform: str
    user_id: int
    artist_id: int
    artist: str | None
    played_at: Instant
    sent_at: Instant
    appended_at: Instant


class Story(Aged):
    event_id: str
    copies: list[Copy] = Field(description="in the order of the log, other services' reports of the same listen included")


class Batch(Answer):
    """One record of `plays`: a range of source offsets and what became of them."""

    source_partition: int
    first_offset: int
    last_offset: int
    records: int
    ticks: int
    absent: int
    accepted: int
    duplicates: int
    late: int
    skipped: int
    suspect: int
    invalid: int
    watermark: Instant | None


class BatchesPage(Aged):
    rows: list[Batch] = Field(description="newest first")
    next: str | None = Field(description="`cursor` of the next page; null at the end")
