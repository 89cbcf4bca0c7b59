"""The demand of a scenario: hits with their share of plays, and how much each country listens, over its clock."""

import numpy as np

from producers.catalogue.artists import Catalogue
from producers.columns import Array
from producers.listeners.demand import Habits, Hit
from producers.listeners.people import COUNTRIES, UTC_OFFSETS
from producers.scenarios.model import Scenario
from producers.scenarios.parts import Release

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
RAMP_MS = 4 * MINUTE_MS
"""Time constant in which the share of something new grows to its full size."""
VIRAL_BEGINS = 0.01
"""Part of its final share that a viral track has at its minute."""


class ScenarioDemand:
    """`Demand` of a scenario; t is milliseconds since its start."""

    def __init__(self, scenario: Scenario, catalogue: Catalogue) -> None:
        self._scenario = scenario
        self._hits: list[Hit] = []
        release, viral = scenario.release, scenario.viral
        if release:
            first, second = catalogue.release.drops
            rank = catalogue.release.rank
            self._hits.append(first)
            if release.second_drop_minutes is not None:
                self._hits.append(second)
            if release.build_up_share:
                begin, past = catalogue.first_track[rank : rank + 2].tolist()
                self._hits.append(Hit(begin, past - begin))
            self._out = released_at(scenario)
        if viral:
            self._hits.append(catalogue.viral)

    @property
    def hits(self) -> tuple[Hit, ...]:
        return tuple(self._hits)

    def shares(self, t: Array, country: Array) -> Array:
        rows = []
        if self._scenario.release:
            rows += self._release_shares(self._scenario.release, t - self._out[country])
        if self._scenario.viral:
            viral = self._scenario.viral
            doublings = (t / MINUTE_MS - viral.minute) / viral.doubling_minutes
            # Logistic: it doubles while it is small.
            share = viral.share / (1 + (1 / VIRAL_BEGINS - 1) * np.exp2(-np.clip(doublings, 0, 500)))
            rows.append(np.where(doublings < 0, 0.0, share))
        return np.array(rows).reshape(len(rows), len(t))

    def load(self, t: int) -> Array:
        points = self._scenario.load
        usual = 1.0
        if points:
            usual = float(np.interp(t / MINUTE_MS, [point.minute for point in points], [point.times for point in points]))
        load = np.full(len(COUNTRIES), usual)
        if release := self._scenario.release:
            since = (t - self._out) / (release.peak_minutes * MINUTE_MS)
            surge = _surge(since)
            if release.second_drop_minutes is not None:
                surge = surge + _surge(since - release.second_drop_minutes / release.peak_minutes) / 2
            load *= 1 + (release.load - 1) * surge
        return load

    @staticmethod
    def _release_shares(release: Release, since: Array) -> list[Array]:
        """First drop, second drop, older tracks, as far as there are any; `since` it is out, ms."""
        album = release.artist_share * _ramp(since)
        rows = [album]
        if release.second_drop_minutes is not None:
            second = album / 2 * _ramp(since - release.second_drop_minutes * MINUTE_MS)
            rows = [album - second, second]
        if release.build_up_share:
            nearing = np.clip(1 + since / max(release.build_up_minutes * MINUTE_MS, 1), 0, 1)
            rows.append(release.build_up_share * np.minimum(nearing, 1 - _ramp(since)))
        return rows


def released_at(scenario: Scenario) -> Array:
    """int64[countries]: milliseconds from the start to the release in each, negative where it was out before."""
    release = scenario.release
    if release is None:
        raise ValueError("the scenario has no release")
    if release.minute is not None:
        return np.full(len(COUNTRIES), round(release.minute * MINUTE_MS))
    time_of_day = (scenario.weekday_ms or 0) % DAY_MS
    return (-time_of_day % DAY_MS - UTC_OFFSETS * HOUR_MS).astype(np.int64)


def habits_of(scenario: Scenario) -> Habits:
    """How its people listen."""
    return Habits(
        on_repeat=scenario.habits.on_repeat,
        shared_accounts=scenario.habits.shared_accounts,
        offline=scenario.lateness.offline,
        skewed_clocks=scenario.clocks.share,
        skew_minutes=scenario.clocks.minutes,
    )


def _ramp(since: Array) -> Array:
    """From 0 at `since` 0 (ms) towards 1."""
    grown: Array = -np.expm1(-np.maximum(since, 0) / RAMP_MS)
    return grown


def _surge(since: Array) -> Array:
    """1 at its peak, `since` 1; 0 before 0."""
    after = np.maximum(since, 0)
    risen: Array = after * np.exp(1 - after)
    return risen
