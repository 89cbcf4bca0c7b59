"""People: where they live, when they are awake, on what they listen."""

from dataclasses import dataclass

import numpy as np

import schemas
from producers.columns import Array

# Country, share of users, hours ahead of UTC (standard time; the largest zone where there are several).
_COUNTRIES: tuple[tuple[str, float, float], ...] = (
    ("US", 0.24, -6), ("GB", 0.09, 0), ("DE", 0.08, 1), ("BR", 0.08, -3), ("MX", 0.07, -6), ("IN", 0.07, 5.5),
    ("FR", 0.05, 1), ("ES", 0.05, 1), ("IT", 0.04, 1), ("NL", 0.03, 1), ("SE", 0.03, 1), ("PL", 0.03, 1),
    ("AU", 0.03, 10), ("CA", 0.03, -5), ("JP", 0.03, 9), ("ID", 0.03, 7), ("NG", 0.02, 1),
)  # fmt: skip
COUNTRIES: tuple[str, ...] = tuple(code for code, _, _ in _COUNTRIES)
_SHARES = np.array([share for _, share, _ in _COUNTRIES])
UTC_OFFSETS = np.array([hours for _, _, hours in _COUNTRIES])

# Sessions that begin in each local hour, from midnight: a quiet night, the way to work, and a long evening.
_RHYTHM = np.array(
    [32, 20, 13, 9, 8, 12, 27, 52, 68, 66, 66, 69, 73, 74, 75, 79, 86, 95, 100, 96, 88, 78, 64, 47], dtype=np.float64
)
_HOUR_MS = 3_600_000

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
_PLATFORM_WEIGHTS = np.cumsum([_PLATFORM_SHARES[name] for name in PLATFORMS])


def rhythm(instant_ms: int) -> Array:
    """How eagerly each country begins to listen at an instant (epoch ms): float64[countries], of 100."""
    hours = np.mod(instant_ms / _HOUR_MS + UTC_OFFSETS, 24)
    eagerness: Array = np.interp(hours, np.arange(25), np.append(_RHYTHM, _RHYTHM[0]))
    return eagerness


def pick_platforms(count: int, rng: np.random.Generator) -> Array:
    """int64[count]: indices into PLATFORMS, by market share."""
    return np.searchsorted(_PLATFORM_WEIGHTS[:-1], rng.random(count), side="right")


@dataclass(frozen=True, eq=False)
class People:
    """Users 0..N-1 (their ids are one more): index of country and of favourite platform, and who lives where."""

    country: Array
    """int64[N]: index into COUNTRIES."""
    favourite: Array
    """int64[N]: index into PLATFORMS."""
    by_country: Array
    """int64[N]: all users, grouped by country."""
    first: Array
    """int64[countries + 1]: where each country's group begins in `by_country`."""

    def pick(self, count: int, instant_ms: int, rng: np.random.Generator, load: Array | None = None) -> Array:
        """int64[count]: users who sit down to listen at an instant, after their countries' local hour."""
        weights = np.cumsum(np.diff(self.first) * rhythm(instant_ms) * (1 if load is None else load))
        # The last bound is left out: a draw just below 1 must not round up to a country that isn't there.
        country = np.searchsorted(weights[:-1] / weights[-1], rng.random(count), side="right")
        first, past = self.first[country], self.first[country + 1]
        users: Array = self.by_country[first + (rng.random(count) * (past - first)).astype(np.int64)]
        return users

    def eagerness(self, instant_ms: int, load: Array | None = None) -> float:
        """How much all of them listen at an instant, on a scale of its own."""
        return float(np.dot(np.diff(self.first), rhythm(instant_ms) * (1 if load is None else load))) / len(self.country)


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
