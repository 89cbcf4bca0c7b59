"""One playback event as JSON: a mirror of playback-events-value with the plausibility limits in it. Never in the hot path.

Instants are epoch milliseconds, as in the Avro schema; `event_id` is a UUID's text.
"""

from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

import schemas

Platform: TypeAlias = Literal["android", "ios", "desktop", "web", "speaker", "tv", "car", "other"]
ReasonEnd: TypeAlias = Literal["finished", "skipped", "paused", "closed", "error", "other"]


def _within(field: str) -> Any:
    allowed = schemas.limits().integers[field]
    return Field(ge=allowed.min, le=allowed.max)


def _sized(field: str) -> AfterValidator:
    allowed = schemas.limits().strings[field]

    def check(text: str) -> str:
        size = len(text.encode())
        if not allowed.min <= size <= allowed.max:
            raise ValueError(f"must have {allowed.min} to {allowed.max} bytes in UTF-8, it has {size}")
        return text

    return AfterValidator(check)


class PlaybackEvent(BaseModel):
    """One listen, reported when it ended. Field order is the schema's.

    `model_validate_json` raises pydantic's ValidationError, which names each field that is wrong and why.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    event_id: UUID
    """UUIDv7, made by the client; every copy of the event carries the same."""
    user_id: Annotated[int, _within("user_id")]
    artist_id: Annotated[int, _within("artist_id")]
    track_id: Annotated[int, _within("track_id")]
    album_id: Annotated[int, _within("album_id")]
    played_at: Annotated[int, _within("played_at")]
    ms_played: Annotated[int, _within("ms_played")]
    track_ms: Annotated[int, _within("track_ms")]
    session_id: Annotated[int, _within("session_id")]
    sequence: Annotated[int, _within("sequence")]
    platform: Platform
    service: Annotated[str, _sized("service")]
    country: Annotated[str, _sized("country")]
    offline: bool
    reason_end: ReasonEnd
    sent_at: Annotated[int, _within("sent_at")]
