"""What is generated follows the stated distributions. What is stated stands here once more, on purpose.

Sources of the figures: skips [Lamere], Zipf's exponent [fitted to Luminate 2025]; the rhythm and the shares of countries and
platforms are assumptions.
"""

import numpy as np
import pytest

from producers.columns import Array, Columns, take
from producers.listeners.demand import Habits
from producers.listeners.people import COUNTRIES, PLATFORMS
from tests.unit.producers.crowds import HOUR, MINUTE, MONDAY, WEEK, AwakeInLondon, TwoHits, a_week, an_hour
from tests.unit.producers.p_values import REFUSED, chi_square, kolmogorov_smirnov, share_of
from tests.unit.producers.worlds import cached_catalogue, cached_people

SEED = 31
AFTERNOON = MONDAY + 15 * HOUR
HABITS = Habits(on_repeat=0.04, shared_accounts=0.03, offline=0.1, skewed_clocks=0.05, skew_minutes=(-30, 90))

COUNTRY_SHARES = {
    "US": 0.24, "GB": 0.09, "DE": 0.08, "BR": 0.08, "MX": 0.07, "IN": 0.07, "FR": 0.05, "ES": 0.05, "IT": 0.04, "NL": 0.03,
    "SE": 0.03, "PL": 0.03, "AU": 0.03, "CA": 0.03, "JP": 0.03, "ID": 0.03, "NG": 0.02,
}  # fmt: skip
HOURS_AHEAD = {
    "US": -6, "GB": 0, "DE": 1, "BR": -3, "MX": -6, "IN": 5.5, "FR": 1, "ES": 1, "IT": 1, "NL": 1, "SE": 1, "PL": 1,
    "AU": 10, "CA": -5, "JP": 9, "ID": 7, "NG": 1,
}  # fmt: skip
PLATFORM_SHARES = {
    "android": 0.37, "ios": 0.28, "desktop": 0.12, "web": 0.07, "speaker": 0.07, "tv": 0.03, "car": 0.05, "other": 0.01,
}  # fmt: skip
# Sessions that begin, at each full hour of a Monday to Thursday, a Friday, a Saturday and a Sunday; linear in between.
WORKDAY = [32, 20, 13, 9, 8, 12, 27, 52, 68, 66, 66, 69, 73, 74, 75, 79, 86, 95, 100, 96, 88, 78, 64, 47]
FRIDAY = [32, 20, 13, 9, 8, 12, 27, 52, 68, 66, 66, 69, 73, 74, 75, 79, 87, 97, 103, 103, 99, 92, 82, 66]
SATURDAY = [48, 34, 23, 15, 10, 9, 11, 18, 33, 52, 68, 78, 83, 85, 86, 87, 88, 90, 92, 90, 87, 81, 72, 59]
SUNDAY = [44, 32, 22, 15, 10, 8, 9, 14, 27, 45, 61, 71, 76, 78, 78, 78, 78, 78, 77, 74, 68, 59, 46, 33]
RHYTHM = np.array([*WORKDAY * 4, *FRIDAY, *SATURDAY, *SUNDAY])


@pytest.fixture(scope="module")
def plays() -> Columns:
    return an_hour(SEED)


@pytest.fixture(scope="module")
def with_habits() -> Columns:
    return an_hour(SEED, habits=HABITS)


def popularity_p(plays: Columns, artists: int, seed: int, exponent: float) -> float:
    """Neighbouring ranks together until at least 20 plays are expected of them."""
    ranks = np.searchsorted(cached_catalogue(artists, seed).first_track, plays["track"], side="right") - 1
    weights = np.arange(1, artists + 1) ** -exponent
    expected = weights / weights.sum() * len(ranks)
    bounds, together = [0], 0.0
    for rank, count in enumerate(expected.tolist()):
        together += count
        if together >= 20 and expected[rank + 1 :].sum() >= 20:
            bounds.append(rank + 1)
            together = 0.0
    observed = np.bincount(ranks, minlength=artists)
    return chi_square(np.add.reduceat(observed, bounds), np.add.reduceat(expected, bounds))


def skips_p(plays: Columns) -> float:
    heard, whole = plays["ms_played"], plays["track_ms"]
    return chi_square(_counts(np.searchsorted([5_000, 30_000], heard, side="right") + (heard == whole), 4), [24, 11, 14, 51])


def where_skipped_p(plays: Columns) -> list[float]:
    """Of the three intervals: from 0.3 s (nobody is quicker) to 5 s, to 30 s, to the track's end."""
    skipped = take(plays, plays["ms_played"] < plays["track_ms"])
    heard, end = skipped["ms_played"], skipped["track_ms"]
    p = []
    for low, high in (
        (np.full(len(heard), 300), 5_000),
        (np.full(len(heard), 5_000), 30_000),
        (np.full(len(heard), 30_000), end),
    ):
        inside = (heard >= low) & (heard < high)
        place = (heard + 0.5 - low) / (high - low)
        p.append(kolmogorov_smirnov(place[inside], lambda x: x))
    return p


def begins(plays: Columns) -> Columns:
    """The first plays of sessions. Those under way at the start have ended their track after 12 minutes, the longest."""
    return take(plays, (plays["sequence"] == 0) & (plays["played_at"] >= plays["played_at"].min() + 12 * MINUTE))


def platforms_p(plays: Columns) -> float:
    """A user's sessions are often on the favourite platform, so one session of each user."""
    first = plays["platform"][np.unique(plays["user"], return_index=True)[1]]
    return chi_square(_counts(first, 8), [PLATFORM_SHARES[name] for name in PLATFORMS])


def rhythm_p(plays: Columns, seed: int, users: int) -> float:
    """Sessions that begin in each local hour of the week, whatever the country."""
    began = plays["played_at"] - plays["ms_played"]
    first = (plays["sequence"] == 0) & (began >= MONDAY) & (began < MONDAY + WEEK)
    ahead = np.array([HOURS_AHEAD[name] for name in COUNTRIES])[cached_people(users, seed).country[plays["user"][first]]]
    hour = ((began[first] - MONDAY) / HOUR + ahead) % 168
    counts, expected = _counts(hour.astype(np.int64), 168), RHYTHM + np.roll(RHYTHM, -1)
    # By hour, and by four hours together, where a Friday night stands out from other nights.
    parts = chi_square(counts.reshape(-1, 4).sum(axis=1), expected.reshape(-1, 4).sum(axis=1))
    return min(chi_square(counts, expected), parts)


def where_p(plays: Columns, seed: int, users: int, instant: int, load: dict[str, float]) -> float:
    """Sessions by country about an instant."""
    local = [((instant - MONDAY) / HOUR + HOURS_AHEAD[name]) % 168 for name in COUNTRIES]
    eager = np.interp(local, np.arange(169), np.append(RHYTHM, RHYTHM[0]))
    shares = eager * [COUNTRY_SHARES[name] * load.get(name, 1) for name in COUNTRIES]
    return chi_square(_counts(cached_people(users, seed).country[plays["user"]], len(COUNTRIES)), shares)


def _counts(values: Array, size: int) -> Array:
    return np.bincount(values, minlength=size)


def test_artists_are_played_by_zipf_with_an_exponent_of_0_92(plays: Columns) -> None:
    assert popularity_p(plays, 2_000, SEED, 0.92) > REFUSED
    assert popularity_p(plays, 2_000, SEED, 0.9) < REFUSED, "so many plays tell exponents apart"


def test_a_quarter_is_skipped_by_5_s_a_third_by_30_s_and_half_before_the_end(plays: Columns) -> None:
    assert skips_p(begins(plays)) > REFUSED


def test_where_a_track_is_skipped_is_uniform_between_these_instants(plays: Columns) -> None:
    assert min(where_skipped_p(begins(plays))) > REFUSED


def test_sessions_are_on_platforms_by_their_share(plays: Columns) -> None:
    assert platforms_p(plays) > REFUSED


def test_sessions_begin_by_the_local_hour_and_the_weekday() -> None:
    assert rhythm_p(a_week(SEED, 900_000), SEED, 100_000) > REFUSED


def test_people_live_in_countries_by_their_share() -> None:
    lives = _counts(cached_people(300_000, SEED).country, len(COUNTRIES))
    assert chi_square(lives, [COUNTRY_SHARES[name] for name in COUNTRIES]) > REFUSED


def test_a_country_that_listens_more_than_usual_begins_more_sessions() -> None:
    awake = begins(an_hour(SEED, 200_000, AwakeInLondon()))
    middle = AFTERNOON + 34 * MINUTE
    assert where_p(awake, SEED, 300_000, middle, {"GB": 3}) > REFUSED
    assert where_p(awake, SEED, 300_000, middle, {}) < REFUSED


def test_hits_have_the_share_of_plays_that_is_asked_for_there_and_then() -> None:
    catalogue = cached_catalogue(2_000, SEED)
    album, viral = catalogue.release.drops[0], catalogue.viral
    heard = an_hour(SEED, demand=TwoHits((album, viral)))
    began = heard["played_at"] - heard["ms_played"] - AFTERNOON
    in_us = cached_people(300_000, SEED).country[heard["user"]] == COUNTRIES.index("US")
    of_album = (heard["track"] >= album.first_track) & (heard["track"] < album.first_track + album.tracks)
    late = began >= 20 * MINUTE
    assert share_of(of_album[late & in_us], 0.1) > REFUSED
    assert share_of(of_album[late & ~in_us], 0.3) > REFUSED
    assert not of_album[began < 20 * MINUTE].any()
    # It grows in a straight line, and is an ordinary track besides: a little more than asked for.
    last = (began >= 45 * MINUTE) & (began < 50 * MINUTE)
    of_viral = heard["track"][last] == viral.first_track
    assert of_viral.mean() == pytest.approx(0.2 * 47.5 / 60, rel=0.05)


def test_habits_have_their_shares_of_sessions_and_of_users(with_habits: Columns) -> None:
    first = begins(with_habits)
    assert share_of(first["look_alike"] == 1, 0.04) > REFUSED
    assert share_of(first["look_alike"] == 2, 0.03) > REFUSED
    assert share_of(first["offline"], 0.1) > REFUSED
    users, rows = np.unique(with_habits["user"], return_index=True)
    skews = with_habits["skew_ms"][rows]
    assert len(users) > 50_000
    assert share_of(skews != 0, 0.05) > REFUSED
    wrong = skews[skews != 0]
    assert -30 * MINUTE <= wrong.min() < -29 * MINUTE
    assert 89 * MINUTE < wrong.max() <= 90 * MINUTE
    assert kolmogorov_smirnov(wrong, lambda x: (x / MINUTE + 30) / 120) > REFUSED


def test_a_song_on_repeat_is_short_and_heard_to_its_end_every_time(with_habits: Columns) -> None:
    repeated = take(with_habits, with_habits["look_alike"] == 1)
    assert (repeated["ms_played"] == repeated["track_ms"]).all()
    assert repeated["track_ms"].min() >= 30_000, "it counts"
    assert repeated["track_ms"].max() < 40_000
    order = np.lexsort((repeated["sequence"], repeated["session_id"]))
    same_session = np.diff(repeated["session_id"][order]) == 0
    assert (np.diff(repeated["track"][order])[same_session] == 0).all()


def test_a_second_person_on_an_account_hears_what_the_first_does_within_a_minute_on_another_service(
    with_habits: Columns,
) -> None:
    second = take(with_habits, (with_habits["look_alike"] == 2) & (with_habits["sequence"] == 0))
    heard: dict[tuple[int, int], list[tuple[int, int]]] = {}
    ours = take(with_habits, with_habits["look_alike"] == 0)
    columns = ("user", "track", "played_at", "service")
    for user, track, played_at, service in zip(*(ours[name].tolist() for name in columns), strict=True):
        heard.setdefault((user, track), []).append((played_at, service))
    found = 0
    for user, track, played_at, service in zip(*(second[name].tolist() for name in columns), strict=True):
        found += any(0 <= played_at - other < MINUTE and service != by for other, by in heard.get((user, track), []))
    assert found > 0.95 * len(second["user"]), "the first person's play may lie before the hour"
