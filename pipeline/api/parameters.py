"""The parameters of the questions: checked, so that what reaches the engine is a number or a plain word."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from pipeline.codec.event_columns import ENUMS

DAY = 86_400
LONGEST_SECONDS = 366 * DAY
MOST_ROWS, MOST_PAGE, MOST_POINTS = 10_000, 500, 2_000
MOST_ID = (1 << 63) - 1
LATEST_MS = 4_102_444_800_000
"""2100-01-01: no event is later (limits.yaml of the event's schema)."""
EPOCH = datetime.fromtimestamp(0, UTC)
ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)
NAME = r"^[A-Za-z0-9][A-Za-z0-9 ._:/@+-]{0,63}$"


def _whole(value: Any) -> Any:
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,20}", value, re.ASCII):
        raise ValueError("must be a whole number")
    return value


def _moment(value: Any) -> int:
    """Epoch ms of an ISO 8601 instant, UTC where it names no zone."""
    try:
        if not ISO.fullmatch(value):  # fromisoformat takes more than that, even a NUL at the end
            raise ValueError
        moment = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise ValueError("must be an instant like 2026-11-26T08:37:30Z") from None
    ms: int = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // timedelta(milliseconds=1)
    if not 0 <= ms <= LATEST_MS:
        raise ValueError("must lie from 1970 to 2100")
    return ms


Whole = Annotated[int, BeforeValidator(_whole)]
Id = Annotated[Whole, Field(ge=1, le=MOST_ID)]
Moment = Annotated[int, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Country = Annotated[str, Field(pattern="^[A-Za-z]{2}$", description="ISO 3166-1 alpha-2")]
Platform = Annotated[str, Field(pattern=f"^({'|'.join(ENUMS['platform'])})$")]
Service = Annotated[str, Field(pattern=NAME)]
Limit = Annotated[Whole, Field(ge=1, le=MOST_PAGE, description="rows of a page")]
Cursor = Annotated[str, Field(max_length=100, pattern="^[A-Za-z0-9_-]+$", description="`next` of the page before")]


class Parameters(BaseModel):
    """Frozen, and nothing is passed over: a name that is none of them is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Span(Parameters):
    """[from, to)."""

    from_: Moment | None = Field(None, alias="from", description="from this instant on")
    to: Moment | None = Field(None, description="up to this instant, without it")

    @model_validator(mode="after")
    def _is_a_span(self) -> Self:
        if self.from_ is not None and self.to is not None and self.from_ >= self.to:
            raise ValueError("from must lie before to")
        return self


class TopArtists(Parameters):
    k: Annotated[Whole, Field(ge=1, le=MOST_ROWS)] = Field(10, description="rows at most")
    window: Annotated[Whole, Field(ge=1, le=LONGEST_SECONDS)] | None = Field(
        None, description="length of the window in seconds; unset: the run's"
    )
    at: Moment | None = Field(None, description="where the window ends; unset: at the watermark")
    country: Country | None = None
    platform: Platform | None = None
    published: bool = Field(False, description="the newest final list that was published, instead of a list made now")

    @model_validator(mode="after")
    def _published_lists_are_of_all(self) -> Self:
        if self.published and (self.country or self.platform):
            raise ValueError("published lists are of all countries and platforms: leave out either those or published")
        return self


class Timeline(_Span):
    step: Annotated[Whole, Field(ge=1, le=LONGEST_SECONDS)] | None = Field(
        None, description=f"length of a step in seconds; unset: about 120 steps; at most {MOST_POINTS:,} points"
    )


class Duplicates(_Span):
    service: Service | None = None
    platform: Platform | None = None
    country: Country | None = None
    artist_id: Id | None = None
    user_id: Id | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class Batches(Parameters):
    partition: Annotated[Whole, Field(ge=0, le=255)] | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


async def once(request: Request) -> None:
    """Refuses a query that names a parameter twice: which one is meant is anybody's guess."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    if twice := [name for name, count in counts.items() if count > 1]:
        raise RequestValidationError([{"loc": ("query", name), "msg": "is given more than once"} for name in twice])
