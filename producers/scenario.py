"""What happens in a simulated stretch of listening, and when: parameters, and the curves that follow from them."""

from datetime import UTC, datetime
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from producers.columns import Array

Share = Annotated[float, Field(ge=0, le=0.5)]
CopyShare = Annotated[float, Field(ge=0, le=0.33)]  # a third at most: every copy has a play of its own
SURGE_MS = 6 * 60_000
"""How long after a release the whole platform's load peaks."""
RAMP_MS = 4 * 60_000
"""Time constant in which the released artist's share of plays grows to its full size."""


class Scenario(BaseModel):
    """A stretch of listening with an album release in it. Shares are of 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "album-release"
    events: Annotated[int, Field(ge=1)] = 1_000_000
    """Records that are published, copies included: exactly so many."""
    minutes: Annotated[float, Field(ge=0.1, le=1440)] = 90.0
    seed: Annotated[int, Field(ge=0)] = 1
    artists: Annotated[int, Field(ge=20, le=2_000_000)] = 20_000
    users: Annotated[int, Field(ge=1, le=50_000_000)] = 200_000
    release_minute: Annotated[float, Field(ge=0)] | None = 45.0
    """When the album comes out; None, or a minute behind the end: no release."""
    release_share: Share = 0.12
    """Share of all plays that the released album ends up with."""
    release_load: Annotated[float, Field(ge=1, le=10)] = 1.8
    """The platform's load at the peak after the release, as a multiple."""
    double_send_share: CopyShare = 0.03
    """Share of records that are a client's second sending of an event: later, with a later sent_at."""
    retry_share: CopyShare = 0.02
    """Share of records that are a producer's retry: the same bytes again, right behind."""
    late_share: Share = 0.01
    """Share of plays that are sent later than the grace allows."""

    @property
    def length_ms(self) -> int:
        return round(self.minutes * 60_000)

    @property
    def release_ms(self) -> int | None:
        """Milliseconds from the start to the release, None without one."""
        if self.release_minute is None or self.release_minute >= self.minutes:
            return None
        return round(self.release_minute * 60_000)

    def lasting(self, minutes: float) -> "Scenario":
        """The same story told in another time: the release stays at its place in it."""
        release = None if self.release_minute is None else self.release_minute / self.minutes * minutes
        return self.model_copy(update={"minutes": minutes, "release_minute": release})

    def load(self, since_start: Array) -> Array:
        """The load's multiple at these milliseconds since the start, float64: 1 until the release."""
        if self.release_ms is None:
            return np.ones(len(since_start))
        since = np.maximum(since_start - self.release_ms, 0) / SURGE_MS
        load: Array = 1 + (self.release_load - 1) * since * np.exp(1 - since)
        return load

    def share(self, since_start: Array) -> Array:
        """The released album's share of plays at these milliseconds since the start, float64: 0 until the release."""
        if self.release_ms is None:
            return np.zeros(len(since_start))
        share: Array = self.release_share * -np.expm1(-np.maximum(since_start - self.release_ms, 0) / RAMP_MS)
        return share


def iso(instant_ms: int) -> str:
    """An instant (epoch ms) as people read it: 2026-11-23T12:00:00Z."""
    return datetime.fromtimestamp(instant_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
