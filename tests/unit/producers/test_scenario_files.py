"""Scenario files: those that come with the project publish what they say, and a mistake is told by file, line and field."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from producers.columns import height
from producers.kinds import Kind
from producers.scenarios.clock import fixed_start
from producers.scenarios.load import ScenarioError, load_scenario, scenario_names
from producers.scenarios.model import Scenario
from tests.unit.producers.worlds import perform

NAMES = (
    "album-release", "clock-skew", "demo", "ordinary-day", "poison", "quiet-night", "retry-storm", "service-replay",
    "viral-track",
)  # fmt: skip
EVENTS = 20_000


def test_the_scenarios_are_those_that_the_readme_names() -> None:
    assert tuple(scenario_names()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_scenario_publishes_exactly_its_events_in_order_and_each_kind_by_its_share(name: str) -> None:
    scenario = load_scenario(name).model_copy(update={"events": EVENTS})
    start = fixed_start(scenario)
    records = perform(scenario, start=start)
    assert height(records) == EVENTS
    leaves = records["true_sent_at"]
    assert (np.diff(leaves) >= 0).all()
    assert leaves[0] >= start
    assert leaves[-1] < start + scenario.minutes * 60_000
    kinds = Counter({kind.label: int((records["kind"] == kind).sum()) for kind in Kind})
    copies = scenario.duplicates
    stated = {
        "client_double_send": copies.client_double_send.share,
        "producer_retry": copies.producer_retry.share,
        "cross_service": copies.cross_service.share,
        "poison": scenario.poison.share,
    }
    for kind, share in stated.items():
        assert kinds[kind] == int(EVENTS * share), kind
    assert (kinds["upstream_replay"] > 0) == (name == "service-replay")
    assert kinds["play"] == EVENTS - sum(kinds[kind] for kind in kinds if kind != "play")


@pytest.mark.parametrize("name", NAMES)
def test_every_scenario_says_what_happens_and_takes_minutes_to_run(name: str) -> None:
    scenario = load_scenario(name)
    assert (scenario.name, len(scenario.title) > 3, len(scenario.about) > 80) == (name, True, True)
    assert 1 <= scenario.minutes / scenario.speed <= 10


def test_the_demo_is_the_album_release_that_the_readme_tells_of() -> None:
    demo = load_scenario("demo")
    assert (demo.minutes, demo.events, demo.starts, demo.lateness.late) == (90, 500_000, None, 0.01)
    assert demo.release is not None
    assert (demo.release.minute, demo.release.artist_share, demo.release.load) == (45, 0.12, 1.8)
    assert (demo.duplicates.client_double_send.share, demo.duplicates.producer_retry.share) == (0.03, 0.02)


def test_a_file_of_ones_own_is_a_scenario_named_after_it_and_a_bare_number_is_a_share(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("minutes: 5\nduplicates:\n  client_double_send: 0.1\n  producer_retry: {share: 0.2}\npoison: 0.05\n")
    mine = load_scenario(str(path))
    assert (mine.name, mine.minutes, mine.poison.share) == ("mine", 5, 0.05)
    assert (mine.duplicates.client_double_send.share, mine.duplicates.producer_retry.share) == (0.1, 0.2)


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("minutes: 5\nevents: many\n", 2, "events: Input should be a valid integer"),
        ("minutes: 5\n\nlateness:\n  late: 0.9\n", 4, "lateness.late: Input should be less than or equal to 0.5"),
        ("minutes: 5\nduplicates:\n  producer_retries: 0.1\n", 3, "duplicates.producer_retries: there is no such field"),
        ("# what\nviral: {share: 0.1}\n", 2, "viral.minute: this field is missing"),
        ("minutes: 30\nload:\n  - {minute: 0, times: 1}\n  - {minute: 9}\n", 4, "load.1.times: this field is missing"),
        ("release:\n  artist_share: 0.1\n  at: noon\n", 3, "release.at: must be `minute N` or `midnight local`"),
        ("release:\n  at: midnight local\n", 2, "release.at `midnight local` needs a scenario with `starts`"),
        ("title: x\nstarts: 21:00\n", 2, "starts: must be a weekday and a time, such as `thursday 21:00`"),
        ("minutes: 10\nrelease: {at: minute 45}\n", 2, "release.at is minute 45, and the scenario has only 10 minutes"),
        ("minutes: 5\nposion: 0.1\n", 2, "posion: there is no such field"),
        ("poison:\n  share: 0.1\n  kinds: [wrong_magic, bad]\n", 3, "poison.kinds.1"),
        ("duplicates: {client_double_send: 0.5, producer_retry: 0.5}\n", 1, "duplicates and poison together are 1 of all"),
        ("viral: {minute: 1, share: 0.5}\nrelease: {at: minute 5, artist_share: 0.5}\n", 2, "release and viral together"),
        ("minutes: 9\nload:\n  - {minute: 5, times: 1}\n  - {minute: 4, times: 1}\n", 2, "load must have its points"),
        ("lateness:\n  over_1_h: 0.2\n", 1, "lateness: offline must be at least over_1_h"),
        ("minutes: 5\nduplicates:\n  upstream_replay:\n    - {from_minute: 3, to_minute: 2, at_minute: 4}\n", 4,
         "duplicates.upstream_replay.0: from_minute must be before to_minute"),
        ("minutes: 5\nminutes: 6\n", 2, "minutes: this field is there twice"),
        ("minutes: 5\nload: [1, 2\n", 3, "this is no YAML"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_with_file_line_and_field(tmp_path: Path, text: str, line: int, told: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as refused:
        load_scenario(str(path))
    assert str(refused.value).startswith(f"{path}, line {line}: {told}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "just words", "- 1\n- 2\n", "&a [*a]", "a: &a [*a]", "\0", "x: !!python/name:os 1"])
def test_what_is_no_mapping_of_fields_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=r"mine\.yaml"):
        load_scenario(str(path))


def test_an_unknown_name_is_told_with_the_names_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as refused:
        load_scenario("album-relaese")
    assert all(name in str(refused.value) for name in ("album-relaese", *NAMES))
    with pytest.raises(ScenarioError, match="can't be read"):
        load_scenario(str(tmp_path))


def test_told_in_another_time_everything_stays_in_its_place() -> None:
    long: Any = Scenario(
        minutes=90, release={"at": "minute 45", "second_drop_minutes": 30}, load=[{"minute": 9, "times": 2}],
        duplicates={"upstream_replay": [{"from_minute": 9, "to_minute": 18, "at_minute": 27}]},
    )  # fmt: skip
    short: Any = long.lasting(10)
    assert (short.minutes, short.release.minute, short.load[0].minute) == (10, 5, 1)
    assert short.release.second_drop_minutes == pytest.approx(10 / 3)
    replay = short.duplicates.upstream_replay[0]
    assert (replay.from_minute, replay.to_minute, replay.at_minute) == (1, 2, 3)
    assert Scenario().lasting(10).release is None
