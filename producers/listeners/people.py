"""People: where they live, when they are awake, on what they listen, and whose clock is wrong."""

from dataclasses import dataclass

import numpy as np

import schemas
from producers.columns import Array
from producers.listeners.demand import Habits
from producers.listeners.rhythm import begins, listening, local_hour

# Country, share of users, hours ahead of UTC (standard time; the largest zone where there are several).
_COUNTRIES: tuple[tuple[str, float, float], ...] = (
    ("US", 0.24, -6), ("GB", 0.09, 0), ("DE", 0.08, 1), ("BR", 0.08, -3), ("MX", 0.07, -6), ("IN", 0.07, 5.5),
    ("FR", 0.05, 1), ("ES", 0.05, 1), ("IT", 0.04, 1), ("NL", 0.03, 1), ("SE", 0.03, 1), ("PL", 0.03, 1),
    ("AU", 0.03, 10), ("CA", 0.03, -5), ("JP", 0.03, 9), ("ID", 0.03, 7), ("NG", 0.02, 1),
)  # fmt: skip
COUNTRIES: tuple[str, ...] = tuple(code for code, _, _ in _COUNTRIES)
UTC_OFFSETS = np.array([hours for _, _, hours in _COUNTRIES])
"""float64[countries]: hours ahead of UTC, the whole year."""
_SHARES = np.array([share for _, share, _ in _COUNTRIES])

PLATFORMS: tuple[str, ...] = tuple(
    next(
        field["type"]["symbols"]
        for field in schemas.schema(schemas.EVENTS_SUBJECT, 1)["fields"]
        if field["name"] == "platform"
    )
)
_PLATFORM_SHARES = {
    "android": 0.37, "ios": 0.28, "desktop": 0.12, "web": 0.07, "speaker": 0.07, "tv": 0.03, "car": 0.05, "other": 0.01,
}  # fmt: skip
PLATFORM_SHARES = np.array([_PLATFORM_SHARES[name] for name in PLATFORMS])

SERVICES = ("listening", "listening-car", "listening-speaker", "scrobbler", "listening-partner")
"""The last two report what was listened to on the others."""
SERVICE_OF = np.array([{"car": 1, "speaker": 2}.get(name, 0) for name in PLATFORMS])
"""int64[platforms]: each platform's service."""


def pick_platforms(count: int, rng: np.random.Generator) -> Array:
    """int64[count]: indices into PLATFORMS, by market share."""
    return np.searchsorted(np.cumsum(PLATFORM_SHARES)[:-1], rng.random(count), side="right")


@dataclass(frozen=True, eq=False)
class People:
    """Users 0..N-1 (their ids are one more): index of country and of favourite platform, and who lives where.

    `load`, float64[countries]: how many times as much as usual each country listens; None: as usual.
    """

    country: Array
    """int64[N]: index into COUNTRIES."""
    favourite: Array
    """int64[N]: index into PLATFORMS."""
    by_country: Array
    """int64[N]: all users, grouped by country."""
    first: Array
    """int64[countries + 1]: where each country's group begins in `by_country`."""

    def pick(self, count: int, instant_ms: int, rng: np.random.Generator, load: Array | None = None) -> Array:
        """int64[count]: users who sit down to listen at an instant, after their countries' local hour and weekday."""
        return self.of(self.pick_countries(count, instant_ms, rng, load), rng)

    def pick_countries(self, count: int, instant_ms: int, rng: np.random.Generator, load: Array | None = None) -> Array:
        """int64[count]: where people sit down to listen at an instant (epoch ms)."""
        weights = np.cumsum(np.diff(self.first) * begins(local_hour(instant_ms, UTC_OFFSETS)) * _usual(load))
        # The last bound is left out: a draw just below 1 must not round up to a country that isn't there.
        return np.searchsorted(weights[:-1] / weights[-1], rng.random(count), side="right")

    def of(self, country: Array, rng: np.random.Generator) -> Array:
        """int64: anyone of each of these countries."""
        first, past = self.first[country], self.first[country + 1]
        users: Array = self.by_country[first + (rng.random(len(country)) * (past - first)).astype(np.int64)]
        return users

    def eagerness(self, instant_ms: int, load: Array | None = None) -> float:
        """How much all of them listen at an instant, on a scale of its own: plays that end then."""
        plays = np.diff(self.first) * listening(local_hour(instant_ms, UTC_OFFSETS)) * _usual(load)
        return float(plays.sum()) / len(self.country)


def build_people(users: int, seed: int) -> People:
    """The people of a seed."""
    rng = np.random.default_rng([seed, 3])
    country = np.searchsorted(np.cumsum(_SHARES)[:-1], rng.random(users), side="right")
    return People(
        country=country,
        favourite=pick_platforms(users, rng),
        by_country=np.argsort(country, kind="stable"),
        first=np.concatenate([[0], np.cumsum(np.bincount(country, minlength=len(COUNTRIES)))]),
    )


def clock_skews(users: int, seed: int, habits: Habits) -> Array | None:
    """int64[users], ms: how far each user's clock is ahead, 0 where it is right; None where all are."""
    if not habits.skewed_clocks:
        return None
    rng = np.random.default_rng([seed, 6])
    ahead = rng.uniform(*habits.skew_minutes, users) * 60_000
    skews: Array = np.where(rng.random(users) < habits.skewed_clocks, ahead, 0).astype(np.int64)
    return skews


def _usual(load: Array | None) -> Array | float:
    return 1.0 if load is None else load
