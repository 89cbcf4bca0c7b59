"""Copies by kind: what they share with the listen that they repeat, when they come, and who tells them apart."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from producers.columns import Columns, height, take
from producers.faults.copies import double_sends
from producers.kinds import Kind
from producers.listeners.people import SERVICES
from producers.scenarios.model import Scenario
from producers.scenarios.parts import DoubleSends
from tests.unit.producers.p_values import REFUSED, kolmogorov_smirnov
from tests.unit.producers.worlds import RULES, START, identities, perform, same

ALL: dict[str, Any] = {
    "producer_retry": 0.05,
    "client_double_send": 0.05,
    "cross_service": 0.1,
    "upstream_replay": [{"from_minute": 10, "to_minute": 20, "at_minute": 40, "over_minutes": 5, "share": 0.5}],
}
SCENARIO: Any = Scenario(events=60_000, minutes=60, artists=500, users=20_000, seed=3, duplicates=ALL, poison=0.01)
MINUTE = 60_000


@cache
def records() -> Columns:
    return perform(SCENARIO)


def of_kind(kind: Kind) -> Columns:
    return take(records(), records()["kind"] == kind)


def originals(copies: Columns, by: str = "event_id") -> Columns:
    """The play of each copy, found by id, one at a time."""
    plays = of_kind(Kind.PLAY)
    place = {identity: row for row, identity in enumerate(identities(plays))}
    wanted = copies[by].tobytes()
    return take(plays, np.array([place[wanted[at : at + 16]] for at in range(0, len(wanted), 16)]))


def changed(copies: Columns, plays: Columns) -> set[str]:
    """The columns in which any copy differs from its play."""
    return {name for name in copies if np.any(copies[name] != plays[name])}


def test_a_producers_retry_is_the_same_bytes_in_the_next_record() -> None:
    rows = np.flatnonzero(records()["kind"] == Kind.PRODUCER_RETRY)
    assert len(rows) == 3_000
    before, again = take(records(), rows - 1), take(records(), rows)
    assert changed(again, before) <= {"kind"}


def test_where_producers_retry_more_often_than_they_send_a_record_is_there_many_times_in_a_row() -> None:
    storm = perform(SCENARIO.model_copy(update={"events": 5_000, "duplicates": _duplicates(producer_retry=0.75)}))
    kinds, ids = storm["kind"].tolist(), identities(storm)
    assert kinds.count(Kind.PRODUCER_RETRY) == 3_750
    runs = [ids[row] == ids[row - 1] for row in range(1, len(ids)) if kinds[row] == Kind.PRODUCER_RETRY]
    assert all(runs)


def _duplicates(**kinds: Any) -> Any:
    return Scenario(duplicates=kinds).duplicates


def test_a_clients_second_send_has_the_id_and_played_at_and_a_later_sent_at() -> None:
    copies = of_kind(Kind.CLIENT_DOUBLE_SEND)
    plays = originals(copies)
    assert changed(copies, plays) == {"kind", "sent_at", "true_sent_at"}
    delay = copies["sent_at"] - plays["sent_at"]
    assert (delay > 0).all()
    np.testing.assert_array_equal(delay, copies["true_sent_at"] - plays["true_sent_at"])


def test_second_sends_follow_their_stated_distribution_where_nothing_cuts_them_off() -> None:
    count = 30_000
    plays = {name: np.full(count, START) for name in ("played_at", "true_sent_at", "sent_at")}
    copies = double_sends(plays, DoubleSends(), RULES.horizon_ms, START + 100 * MINUTE, np.random.default_rng(5))
    seconds = (copies["sent_at"] - START) / 1000

    def stated(x: Any) -> Any:
        soon = np.clip(np.log(x / 2) / np.log(100), 0, 1)
        return 0.875 * soon + 0.125 * np.clip((x - 600) / 1_800, 0, 1)

    assert kolmogorov_smirnov(seconds, stated) > REFUSED


def test_an_upstream_replay_sends_its_share_of_the_stretch_again_as_it_was_and_in_its_order() -> None:
    copies = of_kind(Kind.UPSTREAM_REPLAY)
    plays = originals(copies)
    assert changed(copies, plays) == {"kind", "true_sent_at"}
    stretch = (of_kind(Kind.PLAY)["played_at"] - START) // MINUTE
    assert height(copies) == pytest.approx(0.5 * np.sum((stretch >= 10) & (stretch < 20)), abs=1)
    in_time = plays["true_sent_at"] < START + 40 * MINUTE
    for name, begin, end, rows in (("played_at", 10, 20, slice(None)), ("true_sent_at", 40, 45, in_time)):
        assert (copies[name][rows] >= START + begin * MINUTE).all()
        assert (copies[name][rows] <= START + end * MINUTE).all()
    assert (copies["true_sent_at"][~in_time] > plays["true_sent_at"][~in_time]).all()
    assert len(set(identities(copies))) == height(copies)
    prompt = plays["true_sent_at"] < START + 20 * MINUTE
    order = np.argsort(plays["true_sent_at"][prompt], kind="stable")
    assert (np.diff(copies["true_sent_at"][prompt][order]) >= 0).all()


def test_a_replay_of_everything_sends_every_play_once_more_also_those_that_were_late() -> None:
    replay = _duplicates(
        upstream_replay=[{"from_minute": 1, "to_minute": 4, "at_minute": 4, "over_minutes": 0}],
        producer_retry=0, client_double_send=0,
    )  # fmt: skip
    late = Scenario(lateness={"late": 0.4}).lateness
    again = perform(SCENARIO.model_copy(update={"minutes": 8, "events": 4_001, "duplicates": replay, "lateness": late}))
    assert height(again) == 4_001
    plays, copies = (take(again, again["kind"] == kind) for kind in (Kind.PLAY, Kind.UPSTREAM_REPLAY))
    minute = (plays["played_at"] - START) // MINUTE
    stretch = {identity for identity, at in zip(identities(plays), minute.tolist(), strict=True) if 1 <= at < 4}
    assert set(identities(copies)) == stretch
    first = dict(zip(identities(plays), plays["true_sent_at"].tolist(), strict=True))
    pairs = zip(identities(copies), copies["true_sent_at"].tolist(), strict=True)
    assert all(sent > first[identity] for identity, sent in pairs)


def test_another_service_reports_the_same_listen_under_its_own_id_and_name() -> None:
    copies = of_kind(Kind.CROSS_SERVICE)
    plays = originals(copies, by="original_id")
    assert height(copies) == 6_000
    kept = {"user_id", "artist_id", "track_id", "album_id", "ms_played", "track_ms", "country", "look_alike"}
    assert not kept & changed(copies, plays)
    assert not set(identities(copies)) & set(identities(of_kind(Kind.PLAY)))
    names = {SERVICES[service] for service in copies["service"].tolist()}
    assert names == {"scrobbler", "listening-partner"}
    assert not names & {SERVICES[service] for service in of_kind(Kind.PLAY)["service"].tolist()}
    assert not records()["original_id"][records()["kind"] != Kind.CROSS_SERVICE].any()


def test_two_services_reports_are_4_to_54_seconds_apart_half_of_them_under_21_either_first() -> None:
    copies = of_kind(Kind.CROSS_SERVICE)
    apart = (copies["played_at"] - originals(copies, by="original_id")["played_at"]) / 1000
    assert np.abs(apart).min() >= 4
    assert np.abs(apart).max() <= 54
    assert np.median(np.abs(apart)) == pytest.approx(21, abs=0.7)
    exponent = np.log(0.5) / np.log(17 / 50)
    assert kolmogorov_smirnov(np.abs(apart), lambda x: np.clip((x - 4) / 50, 0, 1) ** exponent) > REFUSED
    assert 0.45 < np.mean(apart > 0) < 0.55


def test_another_services_report_of_a_prompt_play_is_in_time_for_the_grace() -> None:
    copies = of_kind(Kind.CROSS_SERVICE)
    plays = originals(copies, by="original_id")
    prompt = plays["sent_at"] - plays["played_at"] <= 20_000
    lateness = (copies["sent_at"] - copies["played_at"])[prompt]
    assert lateness.min() >= 0
    assert np.mean(lateness <= RULES.grace_ms) > 0.999


def test_one_fault_more_or_less_changes_nothing_about_the_plays_or_the_other_faults() -> None:
    def of(events: int, **more: Any) -> Columns:
        kinds = {"producer_retry": 0, "client_double_send": 100.4 / events, **more}
        changes = {"minutes": 5, "events": events, "poison": Scenario().poison, "duplicates": _duplicates(**kinds)}
        some = perform(SCENARIO.model_copy(update=changes))
        return take(some, np.isin(some["kind"], [Kind.PLAY, Kind.CLIENT_DOUBLE_SEND]))

    without, with_reports = of(1_100), of(1_300, cross_service=200.4 / 1_300)
    assert height(without) == 1_100
    assert same(without, with_reports)
