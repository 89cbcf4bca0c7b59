"""The script: as many records as asked, in order, with the figures that it promises."""

import uuid
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers.columns import Columns, height, take
from producers.kinds import Kind
from producers.listeners.people import COUNTRIES, build_people
from producers.scenarios.model import Scenario
from tests.unit.producers.worlds import RULES, START, cached_catalogue, identities, perform, same

SCENARIO = Scenario(events=100_000, artists=2_000, users=40_000, seed=21, release={"at": "minute 45"})


@pytest.fixture(scope="module")
def records() -> Columns:
    return perform(SCENARIO)


@pytest.fixture(scope="module")
def plays(records: Columns) -> Columns:
    return take(records, records["kind"] == Kind.PLAY)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    events=st.integers(1, 400),
    minutes=st.floats(0.1, 15),
    seed=st.integers(0, 3),
    users=st.sampled_from([1, 7, 300]),
    double=st.floats(0, 0.33),
    retry=st.floats(0, 0.33),
    late=st.floats(0, 0.5),
)
def test_any_scenario_has_exactly_as_many_records_as_asked_in_order_of_sent_at(
    events: int, minutes: float, seed: int, users: int, double: float, retry: float, late: float
) -> None:
    scenario = Scenario(
        events=events, minutes=minutes, seed=seed, users=users, artists=50, release={"at": f"minute {minutes / 2}"},
        duplicates={"client_double_send": double, "producer_retry": retry}, lateness={"late": late},
    )  # fmt: skip
    records = perform(scenario)
    assert height(records) == events
    assert np.sum(records["kind"] == Kind.CLIENT_DOUBLE_SEND) == int(events * double)
    assert (np.diff(records["sent_at"]) >= 0).all()
    assert records["sent_at"].max() < START + scenario.length_ms
    assert records["played_at"].min() >= START
    assert (records["sent_at"] >= records["played_at"]).all()
    assert (records["sent_at"] <= records["played_at"] + RULES.horizon_ms).all()


def test_the_same_seed_gives_the_same_script() -> None:
    scenario = Scenario(events=4_000, minutes=8, artists=50, users=300, release={"at": "minute 4"})
    assert same(perform(scenario), perform(scenario))
    assert not same(perform(scenario), perform(scenario.model_copy(update={"seed": 2})))


def test_24_percent_are_skipped_by_5_s_35_by_30_s_and_49_before_the_end(plays: Columns) -> None:
    heard, track = plays["ms_played"], plays["track_ms"]
    assert np.mean(heard < 5_000) == pytest.approx(0.24, abs=0.01)
    assert np.mean(heard < 30_000) == pytest.approx(0.35, abs=0.01)
    assert np.mean(heard < track) == pytest.approx(0.49, abs=0.01)
    assert (heard <= track).all()
    assert ((plays["reason_end"] == 0) == (heard == track)).all()


def test_kinds_have_their_shares(records: Columns) -> None:
    assert Counter(records["kind"].tolist()) == {
        Kind.PLAY: 95_000,
        Kind.CLIENT_DOUBLE_SEND: 3_000,
        Kind.PRODUCER_RETRY: 2_000,
    }


def test_a_copy_has_the_id_and_played_at_of_its_play_and_comes_after_it(records: Columns) -> None:
    first: dict[bytes, int] = {}
    delays = []
    for row, (identity, kind) in enumerate(zip(identities(records), records["kind"].tolist(), strict=True)):
        if kind == Kind.PLAY:
            assert identity not in first
            first[identity] = row
            continue
        original = first[identity]
        changed = {name for name in records if np.any(records[name][row] != records[name][original])}
        if kind == Kind.PRODUCER_RETRY:
            assert changed == {"kind"}
            assert row == original + 1
        else:
            assert changed == {"kind", "sent_at", "true_sent_at"}
            delays.append(records["sent_at"][row] - records["sent_at"][original])
    assert min(delays) >= 1
    assert 0.05 < np.mean(np.array(delays) > 600_000) < 0.15  # a few clients reconnect tens of minutes later
    assert np.median(delays) < 60_000


def test_every_play_has_a_uuid_version_7_of_its_instant(plays: Columns) -> None:
    ids = identities(plays)
    assert len(set(ids)) == len(ids)
    for identity, played_at in zip(ids[:2_000], plays["played_at"].tolist(), strict=False):
        parsed = uuid.UUID(bytes=identity)
        assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
        assert parsed.int >> 80 == played_at


def test_a_session_is_one_listener_track_after_track(plays: Columns) -> None:
    sessions = defaultdict(list)
    for row in np.lexsort((plays["sequence"], plays["session_id"])).tolist():
        sessions[int(plays["session_id"][row])].append(row)
    assert 4 < height(plays) / len(sessions) < 9
    for rows in list(sessions.values())[:3_000]:
        assert plays["sequence"][rows].tolist() == list(range(len(rows)))
        for name in ("user_id", "platform", "service", "country"):
            assert len(set(plays[name][rows].tolist())) == 1
        began = (plays["played_at"] - plays["ms_played"])[rows]
        assert (began[1:] - plays["played_at"][rows][:-1] >= 0).all()


def test_a_listener_is_in_one_session_at_a_time(plays: Columns) -> None:
    order = np.lexsort((plays["played_at"], plays["user_id"]))
    user, ended = plays["user_id"][order], plays["played_at"][order]
    began = ended - plays["ms_played"][order]
    overlaps = (user[1:] == user[:-1]) & (began[1:] < ended[:-1])
    assert overlaps.mean() < 0.01  # a session that begins within the minute in which another ended


def test_one_in_a_hundred_is_too_late_for_the_grace_and_all_others_are_in_time(plays: Columns) -> None:
    lateness = plays["sent_at"] - plays["played_at"]
    late = lateness > RULES.grace_ms
    assert np.mean(late) == pytest.approx(0.01, abs=0.002)
    assert lateness[late].min() >= RULES.grace_ms + 2 * RULES.pane_ms
    assert lateness[late].max() > 10 * 60_000
    assert lateness[~late].max() <= 20_000
    assert 0.005 < plays["offline"].mean() < 0.03


def test_the_release_climbs_into_the_top_ten_of_the_last_hour_only_after_it(plays: Columns) -> None:
    release = cached_catalogue(SCENARIO.artists, SCENARIO.seed).release
    minute = (plays["played_at"] - START) // 60_000

    def place(at: int) -> int:
        counts = Counter(plays["artist_id"][(minute < at) & (minute >= at - 60)].tolist())
        return sum(count > counts[release.artist_id] for count in counts.values()) + 1

    assert place(45) > 30
    assert place(75) <= 10
    assert place(90) < place(60)
    began = plays["played_at"] - plays["ms_played"]
    assert began[plays["album_id"] == release.album_id].min() >= START + 45 * 60_000


def test_the_release_takes_its_share_and_lifts_the_load(plays: Columns) -> None:
    release = cached_catalogue(SCENARIO.artists, SCENARIO.seed).release
    minute = (plays["played_at"] - START) // 60_000
    share = np.mean(plays["album_id"][minute >= 75] == release.album_id)
    assert share == pytest.approx(0.12, abs=0.01)
    per_minute = np.bincount(minute, minlength=90)
    assert 1.6 < per_minute[50:53].mean() / per_minute[42:45].mean() < 2.0
    assert per_minute[85:].mean() / per_minute[42:45].mean() < 1.2


def test_without_a_release_nobody_hears_the_album() -> None:
    records = perform(Scenario(events=20_000, artists=200, users=3_000, release=None))
    release = cached_catalogue(200, 1).release
    assert release.album_id not in records["album_id"]


def test_people_listen_by_their_own_local_hour() -> None:
    people = build_people(50_000, seed=4)
    # 18:00 UTC is early evening in London and half past eleven at night in Delhi; at 12:30 UTC it is the other way round.
    evening, noon = 1_795_392_000_000 + 18 * 3_600_000, 1_795_392_000_000 + 12 * 3_600_000 + 1_800_000
    rng = np.random.default_rng(4)

    def ratio(instant: int) -> float:
        where = Counter(people.country[people.pick(20_000, instant, rng)].tolist())
        return where[COUNTRIES.index("IN")] / where[COUNTRIES.index("GB")]

    assert START % 86_400_000 == 0
    assert ratio(noon) > 1.4 * ratio(evening)
