"""What happens in a simulated stretch of listening, and when: the model of a scenario file."""

import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator

from producers.scenarios.parts import (
    AT_MINUTE,
    Clocks,
    Duplicates,
    Habits,
    Lateness,
    LoadPoint,
    Part,
    PoisonPart,
    Release,
    Viral,
    share_alone,
)

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
STARTS = re.compile(rf"({'|'.join(WEEKDAYS)}) ([01]\d|2[0-3]):([0-5]\d)")
MOST_COPIES = 0.8
MOST_HITS = 0.9


class Scenario(Part):
    """A stretch of listening. Without any argument: 90 ordinary minutes with the everyday copies."""

    name: Annotated[str, Field(pattern=r"^[^/]+$")] = "scenario"
    """Its file's; part of the ledger's name."""
    title: str = ""
    about: str = ""
    """What happens, and what to look at."""
    starts: str | None = None
    """Weekday and time, UTC; None: whenever, and it has just happened."""
    minutes: Annotated[float, Field(ge=0.1, le=7 * 1440)] = 90.0
    events: Annotated[int, Field(ge=1)] = 1_000_000
    """Records that are published, copies included: exactly so many."""
    speed: Annotated[float, Field(gt=0)] = 60.0
    """How many minutes of its clock `scenario run` lets pass in one, where nothing else is said."""
    seed: Annotated[int, Field(ge=0)] = 1
    artists: Annotated[int, Field(ge=20, le=2_000_000)] = 20_000
    users: Annotated[int, Field(ge=1, le=50_000_000)] = 200_000
    zipf_exponent: Annotated[float, Field(ge=0, le=3)] = 0.92
    release: Release | None = None
    viral: Viral | None = None
    load: tuple[LoadPoint, ...] = ()
    """As multiples of what is usual at that hour; none: as usual."""
    lateness: Lateness = Lateness()
    habits: Habits = Habits()
    duplicates: Duplicates = Duplicates()
    poison: Annotated[PoisonPart, BeforeValidator(share_alone)] = PoisonPart()
    clocks: Clocks = Clocks()

    @field_validator("starts", mode="before")
    @classmethod
    def _is_a_weekday_and_time(cls, starts: Any) -> Any:
        if starts is not None and not (isinstance(starts, str) and STARTS.fullmatch(starts)):
            raise ValueError(f"must be a weekday and a time, such as `thursday 21:00`, it is `{starts}`")
        return starts

    @model_validator(mode="after")
    def _is_a_story(self) -> "Scenario":
        if self.release and self.release.minute is None and self.starts is None:
            raise ValueError(f"release.at `{self.release.at}` needs a scenario with `starts`: else there is no local time")
        for field, minute in self._instants():
            if minute >= self.minutes:
                raise ValueError(f"{field} is minute {minute:g}, and the scenario has only {self.minutes:g} minutes")
        if [point.minute for point in self.load] != sorted({point.minute for point in self.load}):
            raise ValueError("load must have its points in order of their minute")
        if not any(point.times for point in self.load) and self.load:
            raise ValueError("load must be more than 0 somewhere")
        hits = [self.release.artist_share, self.release.build_up_share] if self.release else []
        if sum(hits) + (self.viral.share if self.viral else 0) > MOST_HITS:
            raise ValueError(f"release and viral together have more than {MOST_HITS} of all plays")
        copies = self.duplicates
        fixed = [copies.producer_retry.share, copies.client_double_send.share, copies.cross_service.share, self.poison.share]
        if sum(fixed) > MOST_COPIES:
            raise ValueError(
                f"duplicates and poison together are {sum(fixed):g} of all records; at most {MOST_COPIES} can be"
            )
        return self

    def _instants(self) -> Iterator[tuple[str, float]]:
        """Every minute at which something happens, with its field."""
        if self.release and self.release.minute is not None:
            yield "release.at", self.release.minute
        if self.viral:
            yield "viral.minute", self.viral.minute
        for place, replay in enumerate(self.duplicates.upstream_replay):
            yield f"duplicates.upstream_replay.{place}.at_minute", replay.at_minute

    @property
    def length_ms(self) -> int:
        return round(self.minutes * 60_000)

    @property
    def weekday_ms(self) -> int | None:
        """When it starts, as milliseconds since Monday 00:00 UTC; None: whenever."""
        found = STARTS.fullmatch(self.starts or "")
        if not found:
            return None
        return ((WEEKDAYS.index(found[1]) * 24 + int(found[2])) * 60 + int(found[3])) * 60_000

    def lasting(self, minutes: float) -> "Scenario":
        """The same story told in another time: everything stays at its place in it."""
        factor = minutes / self.minutes
        return self.model_copy(update={"minutes": minutes} | {name: _told(getattr(self, name), factor) for name in _TIMED})


_TIMED = ("release", "viral", "load", "duplicates")
_MINUTES = ("minute", "build_up_minutes", "second_drop_minutes", "from_minute", "to_minute", "at_minute", "over_minutes")


def _told(value: Any, factor: float) -> Any:
    """The part with every minute that is a place in the story multiplied."""
    if isinstance(value, tuple):
        return tuple(_told(entry, factor) for entry in value)
    if not isinstance(value, Part):
        return value
    changes: dict[str, Any] = {}
    for name in type(value).model_fields:
        old = getattr(value, name)
        if name in _MINUTES and old is not None:
            changes[name] = old * factor
        elif name == "at" and (found := AT_MINUTE.fullmatch(old)):
            changes[name] = f"minute {float(found[1]) * factor:.6f}"
        elif isinstance(old, Part | tuple):
            changes[name] = _told(old, factor)
    return value.model_copy(update=changes)
