"""Listeners that tests watch for a while: a demand without news, or with two hits."""

import numpy as np

from producers.columns import Array, Columns, join
from producers.listeners.demand import Demand, Habits, Hit
from producers.listeners.people import COUNTRIES, UTC_OFFSETS
from producers.listeners.sessions import Listeners
from tests.unit.producers.worlds import cached_catalogue, cached_people

MONDAY = 1_767_571_200_000
"""2026-01-05T00:00Z"""
MINUTE, HOUR, WEEK = 60_000, 3_600_000, 604_800_000


class Usual:
    """Nothing draws attention to itself, and everybody listens as usual."""

    hits: tuple[Hit, ...] = ()

    def shares(self, t: Array, country: Array) -> Array:  # noqa: ARG002
        return np.zeros((0, len(t)))

    def load(self, t: int) -> Array:  # noqa: ARG002
        return np.ones(len(COUNTRIES))


class TwoHits(Usual):
    """From minute 20 on one hit has 30% of all plays, but 10% in the US; another grows to 20% over the hour."""

    def __init__(self, hits: tuple[Hit, Hit]) -> None:
        self.hits = hits

    def shares(self, t: Array, country: Array) -> Array:
        abroad = np.where(country == COUNTRIES.index("US"), 0.1, 0.3)
        return np.array([np.where(t >= 20 * MINUTE, abroad, 0), 0.2 * np.clip(t / HOUR, 0, 1)])


class AwakeInLondon(Usual):
    """Only where clocks show London's time, three times as many people listen as usual."""

    def load(self, t: int) -> Array:  # noqa: ARG002
        return np.where(UTC_OFFSETS == 0, 3.0, 1.0)


def an_hour(
    seed: int,
    plays: int = 400_000,
    demand: Demand | None = None,
    habits: Habits | None = None,
    *,
    artists: int = 2_000,
    users: int = 300_000,
    start: int = MONDAY + 15 * HOUR,
) -> Columns:
    """All plays of an hour, minute by minute the same number."""
    catalogue, people = cached_catalogue(artists, seed), cached_people(users, seed)
    listeners = Listeners(seed, catalogue, people, start, demand or Usual(), habits or Habits())
    listeners.settle(plays / HOUR)
    minutes = range(start, start + HOUR, MINUTE)
    return join([listeners.plays(begin, begin + MINUTE, plays // 60) for begin in minutes])


def a_week(seed: int, plays: int = 500_000, users: int = 100_000) -> Columns:
    """Plays of a week and two hours before and after, in steps of ten minutes, as many as people are eager to."""
    catalogue, people = cached_catalogue(2_000, seed), cached_people(users, seed)
    begins = np.arange(MONDAY - 2 * HOUR, MONDAY + WEEK + 2 * HOUR, 10 * MINUTE).tolist()
    eager = np.array([people.eagerness(begin + 5 * MINUTE) for begin in begins])
    counts = np.diff(np.rint(np.cumsum(eager) / eager.sum() * plays).astype(np.int64), prepend=0).tolist()
    listeners = Listeners(seed, catalogue, people, begins[0], Usual(), Habits())
    listeners.settle(counts[0] / (10 * MINUTE))
    return join([listeners.plays(begin, begin + 10 * MINUTE, count) for begin, count in zip(begins, counts, strict=True)])
