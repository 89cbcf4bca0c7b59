"""The parts of a scenario: what each may hold. Shares are of 1, minutes are of the scenario's clock from its start."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

Share = Annotated[float, Field(ge=0, le=0.5)]
CopyShare = Annotated[float, Field(ge=0, le=0.8)]
Minutes = Annotated[float, Field(ge=0)]
AT_MINUTE = re.compile(r"minute (\d+(?:\.\d+)?)")
MIDNIGHT = "midnight local"


class Part(BaseModel):
    """Frozen, and no field that isn't known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def share_alone(value: Any) -> Any:
    """A bare number where a part is expected is its share."""
    return {"share": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


class Release(Part):
    """An album comes out: everywhere at one minute, or in each country at its local midnight."""

    at: str
    """`minute 45`, or `midnight local`: the midnight that begins the day after the start."""
    artist_share: Share = 0.12
    """Share of plays that the album ends up with where it is out."""
    load: Annotated[float, Field(ge=1, le=10)] = 1.8
    """How many times as much as usual is listened at the peak after it is out."""
    peak_minutes: Annotated[float, Field(gt=0)] = 6
    """How long after the release that peak comes."""
    build_up_minutes: Minutes = 0
    """So long before the release people begin to return to the artist's older tracks."""
    build_up_share: Share = 0
    """Share of plays that these end up with at the release."""
    second_drop_minutes: Annotated[float, Field(gt=0)] | None = None
    """So long after the release more tracks come out, and take half of the album's share."""

    @field_validator("at")
    @classmethod
    def _is_a_time(cls, at: str) -> str:
        if at != MIDNIGHT and not AT_MINUTE.fullmatch(at):
            raise ValueError(f"must be `minute N` or `{MIDNIGHT}`, it is `{at}`")
        return at

    @property
    def minute(self) -> float | None:
        """The minute at which it is out everywhere; None where each country has its own."""
        found = AT_MINUTE.fullmatch(self.at)
        return float(found[1]) if found else None


class Viral(Part):
    """A track nobody knew doubles and doubles, until it has its share."""

    minute: Minutes
    share: Share
    doubling_minutes: Annotated[float, Field(gt=0)] = 10


class LoadPoint(Part):
    """From one point to the next the load runs in a straight line; before the first and after the last it stays."""

    minute: Minutes
    times: Annotated[float, Field(ge=0, le=20)]
    """As much as usual for that hour."""


class Lateness(Part):
    """How long after it was played a play is sent. Most take seconds."""

    late: Share = 0.01
    """Share of plays that come minutes later than the grace allows."""
    offline: Share = 0
    """Share of sessions without connection, whose plays are uploaded together when it is back."""
    over_1_h: Share = 0
    """Share of all sessions that are uploaded more than an hour after their first play ended."""
    over_24_h: Share = 0

    @model_validator(mode="after")
    def _nest(self) -> "Lateness":
        if not self.offline >= self.over_1_h >= self.over_24_h:
            raise ValueError("offline must be at least over_1_h, and that at least over_24_h: each is a part of the other")
        return self


class Habits(Part):
    """Legitimate listening that looks like copies; shares of sessions."""

    on_repeat: Share = 0
    """One short song again and again."""
    shared_accounts: Share = 0
    """Two people on one account."""


class Clocks(Part):
    """Clients whose clock is wrong, all of a user by the same."""

    share: Share = 0
    minutes: tuple[float, float] = (-60, 60)
    """How far ahead, uniform between the two; negative is behind."""

    @field_validator("minutes")
    @classmethod
    def _in_order(cls, minutes: tuple[float, float]) -> tuple[float, float]:
        return in_order(minutes)

    @property
    def run_ahead(self) -> bool:
        return self.share > 0 and self.minutes[1] > 0


def in_order(bounds: tuple[float, float]) -> tuple[float, float]:
    """The bounds. Raises ValueError where the first is the larger."""
    if bounds[0] > bounds[1]:
        raise ValueError(f"must begin with the smaller of the two, it is {list(bounds)}")
    return bounds


class Retries(Part):
    """The producer didn't hear the acknowledgement and sends the same bytes again, right behind."""

    share: CopyShare = 0.02
    """Of all records."""
    grows_with_lag: bool = False
    """More of them while a queue of 1.2 times the mean load would lag."""


class DoubleSends(Part):
    """The client sends an event again: same id, same played_at, later sent_at."""

    share: CopyShare = 0.03
    """Of all records."""
    seconds: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (2, 200)
    """How much later, log-uniform between the two …"""
    reconnecting: Annotated[float, Field(ge=0, le=1)] = 0.125
    """… but for this share of them, which come tens of minutes later:"""
    reconnect_minutes: tuple[Minutes, Minutes] = (10, 40)
    """Uniform between the two."""

    @field_validator("seconds", "reconnect_minutes")
    @classmethod
    def _in_order(cls, bounds: tuple[float, float]) -> tuple[float, float]:
        return in_order(bounds)


class UpstreamReplay(Part):
    """A service sends a stretch of the past again, as it was."""

    from_minute: Minutes
    to_minute: Minutes
    """The plays that ended in [from_minute, to_minute) …"""
    at_minute: Minutes
    """… are sent again from this minute on."""
    over_minutes: Minutes = 1
    """So long it takes."""
    share: Annotated[float, Field(gt=0, le=1)] = 1
    """Share of those plays: a service's part of them."""

    @property
    def stretch(self) -> tuple[float, float]:
        return self.from_minute, self.to_minute

    @model_validator(mode="after")
    def _in_order(self) -> "UpstreamReplay":
        if not self.from_minute < self.to_minute <= self.at_minute:
            raise ValueError(
                "from_minute must be before to_minute, and at_minute not before that: only the past is replayed"
            )
        return self


class CrossService(Part):
    """Another service reports the same listen, under another id."""

    share: CopyShare = 0
    """Of all records."""
    apart_s: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0)]] = (4, 54)
    """How far apart the two played_at are, seconds; either may be the earlier."""
    median_s: float = 21
    delay_s: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] = (0, 10)
    """How much longer than the first report it takes to be sent, uniform."""

    @field_validator("apart_s", "delay_s")
    @classmethod
    def _in_order(cls, bounds: tuple[float, float]) -> tuple[float, float]:
        return in_order(bounds)

    @model_validator(mode="after")
    def _median_is_between(self) -> "CrossService":
        if not self.apart_s[0] < self.median_s < self.apart_s[1]:
            raise ValueError(f"median_s must be between {self.apart_s[0]} and {self.apart_s[1]}, it is {self.median_s}")
        return self


class Duplicates(Part):
    """Copies by kind. A bare number is a kind's share."""

    producer_retry: Annotated[Retries, BeforeValidator(share_alone)] = Retries()
    client_double_send: Annotated[DoubleSends, BeforeValidator(share_alone)] = DoubleSends()
    cross_service: Annotated[CrossService, BeforeValidator(share_alone)] = CrossService()
    upstream_replay: tuple[UpstreamReplay, ...] = ()


PoisonKind = Literal[
    "wrong_magic", "unknown_schema", "undecodable", "trailing_bytes", "too_large", "null_value", "wrong_key", "misrouted",
    "implausible", "ahead",
]  # fmt: skip


class PoisonPart(Part):
    """Records that are no events, each made of one."""

    share: Share = 0
    """Of all records."""
    kinds: tuple[PoisonKind, ...] = Field(default=PoisonKind.__args__, min_length=1)  # type: ignore[attr-defined]
    """By the reasons that the dead-letter queue gives; each as often as the others."""
