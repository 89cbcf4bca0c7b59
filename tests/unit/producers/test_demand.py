"""Demand over a scenario's clock: midnight goes round the earth, a second drop follows, a track goes viral."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from producers.kinds import Kind
from producers.listeners.people import COUNTRIES
from producers.scenarios.demand import ScenarioDemand, released_at
from producers.scenarios.load import load_scenario
from producers.scenarios.model import Scenario
from tests.unit.producers.worlds import START, cached_catalogue, perform

HOURS_AHEAD = {"US": -6, "GB": 0, "DE": 1, "BR": -3, "IN": 5.5, "AU": 10, "JP": 9, "NG": 1}
THURSDAY_21 = datetime(2026, 1, 8, 21, tzinfo=UTC)
MINUTE = 60_000


def demand(**fields: Any) -> ScenarioDemand:
    return ScenarioDemand(Scenario(artists=100, users=1_000, **fields), cached_catalogue(100, 1))


def shares(of: ScenarioDemand, minute: float, country: str = "US") -> list[float]:
    values = of.shares(np.array([round(minute * MINUTE)]), np.array([COUNTRIES.index(country)]))
    return [float(share) for [share] in values]


def test_a_release_at_local_midnight_comes_country_by_country() -> None:
    out = released_at(Scenario(starts="thursday 21:00", release={"at": "midnight local"}))
    for country, hours in HOURS_AHEAD.items():
        friday = datetime(2026, 1, 9, tzinfo=timezone(timedelta(hours=hours)))
        since_start = (friday - THURSDAY_21) / timedelta(milliseconds=1)
        assert out[COUNTRIES.index(country)] == since_start, country


def test_nobody_hears_an_album_before_midnight_where_they_live() -> None:
    scenario: Any = load_scenario("album-release").model_copy(update={"events": 60_000, "artists": 2_000, "users": 30_000})
    start = round(THURSDAY_21.timestamp() * 1000)
    records = perform(scenario, start=start)
    first, second = cached_catalogue(2_000, 1).release.drops
    index = records["track_id"] - 1
    began = records["played_at"] - records["ms_played"] - start
    plays = records["kind"] == Kind.PLAY
    for country, hours in HOURS_AHEAD.items():
        mine = plays & (records["country"] == COUNTRIES.index(country))
        midnight = (3 - hours) * 60 * MINUTE
        for drop, since in ((first, 0), (second, 120 * MINUTE)):
            heard = began[mine & (index >= drop.first_track) & (index < drop.first_track + drop.tracks)]
            assert (heard >= midnight + since).all(), country
            if midnight + since < 5 * 60 * MINUTE:
                assert len(heard) > 0, country


def test_the_album_grows_to_its_share_and_the_second_drop_takes_half_of_it() -> None:
    album = demand(minutes=400, release={"at": "minute 60", "artist_share": 0.2, "second_drop_minutes": 120})
    assert shares(album, 59.9) == [0, 0]
    assert shares(album, 64) == [pytest.approx(0.2 * (1 - np.exp(-1))), 0]
    assert shares(album, 179) == [pytest.approx(0.2), 0]
    assert shares(album, 360) == [pytest.approx(0.1), pytest.approx(0.1)]


def test_people_return_to_older_tracks_before_the_release_and_leave_them_for_it() -> None:
    album = demand(minutes=400, release={"at": "minute 100", "build_up_minutes": 50, "build_up_share": 0.04})
    older = [shares(album, minute)[1] for minute in (0, 50, 75, 99.999, 140)]
    assert older == pytest.approx([0, 0, 0.02, 0.04, 0], abs=1e-4)
    catalogue = cached_catalogue(100, 1)
    tracks = range(*catalogue.first_track[catalogue.release.rank : catalogue.release.rank + 2].tolist())
    assert (album.hits[1].first_track, album.hits[1].tracks) == (tracks[0], len(tracks))


def test_a_viral_track_doubles_while_it_is_small_and_ends_at_its_share() -> None:
    viral = demand(minutes=400, viral={"minute": 30, "share": 0.2, "doubling_minutes": 10})
    assert shares(viral, 29.9) == [0]
    [begins], [doubled] = shares(viral, 30), shares(viral, 40)
    assert begins == pytest.approx(0.002)
    assert doubled / begins == pytest.approx(2, abs=0.03)
    assert shares(viral, 300) == [pytest.approx(0.2, abs=1e-4)]


def test_where_the_album_is_out_the_load_peaks_and_elsewhere_it_does_not() -> None:
    release = {"at": "midnight local", "load": 2.5, "peak_minutes": 20, "second_drop_minutes": 120}
    load = demand(starts="thursday 21:00", minutes=360, release=release)

    def at(minute: float, country: str) -> float:
        return float(load.load(round(minute * MINUTE))[COUNTRIES.index(country)])

    assert [at(119, country) for country in ("DE", "GB", "US")] == [1, 1, 1]
    assert at(120 + 20, "DE") == pytest.approx(2.5)
    assert at(120 + 120 + 20, "DE") == pytest.approx(1 + 1.5 * (0.5 + 7 * np.exp(-6)))
    assert at(180 + 20, "GB") == pytest.approx(2.5)
    assert at(359, "US") == 1
    assert max(at(minute, "DE") for minute in range(360)) <= 2.51


def test_a_release_at_a_minute_is_out_everywhere_at_once() -> None:
    assert set(released_at(Scenario(release={"at": "minute 7.5"})).tolist()) == {450_000}
    assert START % 1_000 == 0
