"""Scenarios as a user meets them: listed, shown, written to a file, published, and what the pipeline makes of them."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pytest

from pipeline.dlq.letters import read_letters
from pipeline.errors import Exit
from pipeline.log.read import log_reader
from pipeline.settings import Settings, load
from pipeline.store.queries import top
from pipeline.topics import topics_of
from producers.ledger import read_ledger
from producers.produce import produce
from producers.scenarios.load import load_scenario
from producers.scenarios.model import Scenario
from tests.end_to_end.processes import listening, processes, wait_for
from tests.end_to_end.test_pipeline import classified, exact, outcomes, verdict_of

NAMES = (
    "album-release", "clock-skew", "demo", "ordinary-day", "poison", "quiet-night", "retry-storm", "service-replay",
    "viral-track",
)  # fmt: skip


def told(name: str, events: int, minutes: float | None = None) -> Scenario:
    """A scenario of few events and people, in another length where it is said."""
    small = load_scenario(name).model_copy(update={"events": events, "artists": 300, "users": 2_000})
    return small if minutes is None else small.lasting(minutes)


def settings_like(settings: Settings, **changes: Any) -> Settings:
    return load(**(settings.model_dump() | changes))


def log_size(settings: Settings) -> int:
    """Records of the source, ticks included."""
    with log_reader(settings.bootstrap) as reader:
        bounds = [reader.bounds(topics_of(settings).events.name, partition) for partition in range(settings.partitions)]
    return sum(high for _, high in bounds)


def whole_ledger(settings: Settings, events: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_ledger(settings).to_pylist()
    assert len(rows) == events
    assert {row["status"] for row in rows} == {"acknowledged"}
    assert len({(row["partition"], row["offset"]) for row in rows}) == events
    return rows


def test_poison_of_every_kind_is_in_the_dead_letter_queue_for_the_reason_that_the_ledger_names(settings: Settings) -> None:
    poison = load_scenario("poison").poison.model_copy(update={"share": 0.1})
    scenario = told("poison", 2_000, minutes=5).model_copy(update={"poison": poison})
    done = produce(settings, scenario)
    assert done.kinds["poison"] == 200
    rows = whole_ledger(settings, 2_000)
    with processes(settings) as running:
        for name in ("store", "rank", "classify"):
            running.start(name)
        wait_for("all outcomes", lambda: classified(settings) == log_size(settings))
        verdict = exact(settings)
    with log_reader(settings.bootstrap) as reader:
        letters = {(letter.partition, letter.offset): letter.reason for letter in read_letters(reader, settings)}
    assert letters == {(row["partition"], row["offset"]): row["poison"] for row in rows if row["poison"]}
    assert len(set(letters.values())) == 10
    assert verdict.outcomes["invalid"] == 200


def test_a_service_replay_is_recognised_within_the_horizon_and_late_beyond_it(settings: Settings) -> None:
    # Told in 30 minutes: half an hour of them is sent again after 6 minutes, and after 20.
    shorter = settings_like(settings, horizon_seconds=900)
    scenario = told("service-replay", 3_000, minutes=30)
    done = produce(shorter, scenario)
    rows = whole_ledger(shorter, 3_000)
    assert done.kinds["upstream_replay"] == sum(row["kind"] == "upstream_replay" for row in rows) > 200
    with processes(shorter) as running:
        running.start("classify")
        wait_for("all outcomes", lambda: classified(shorter) == log_size(shorter))
    found = {(partition, offset): outcome for partition, offset, outcome in outcomes(shorter)}
    ended: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
    for row in rows:
        if row["kind"] == "upstream_replay":
            ended[row["played_at"] >= done.start + 6 * 60_000][found[row["partition"], row["offset"]]] += 1
    assert ended[False].keys() == {"duplicate"}
    assert ended[True].keys() == {"late"}


def test_the_artist_leads_the_windows_that_it_is_said_to_and_not_the_one_before(settings: Settings) -> None:
    short = settings_like(settings, window_seconds=600)
    release = load_scenario("demo").release
    assert release is not None
    strong = release.model_copy(update={"artist_share": 0.3})
    scenario = told("demo", 8_000).model_copy(update={"release": strong}).lasting(40)
    done = produce(short, scenario)
    assert done.leads is not None
    assert done.release is not None
    assert done.release < done.leads[0] < done.leads[1] <= done.end
    with processes(short) as running:
        for name in ("store", "rank", "classify"):
            running.start(name)
        wait_for("all outcomes", lambda: classified(short) == log_size(short))
        exact(short)
        before, first, last = (top(short, 1, 600, at).rows for at in (done.leads[0] - 60_000, *done.leads))
    assert before[0].artist_id != done.hit_artist_id
    assert first[0].artist_id == last[0].artist_id == done.hit_artist_id
    assert first[0].name == done.hit_artist


def test_clocks_that_run_ahead_need_records_that_keep_their_own_time_and_are_exact_there(settings: Settings) -> None:
    scenario = told("clock-skew", 3_000, minutes=30)
    refused = listening(settings, "scenario", "run", "clock-skew")
    assert refused.returncode == Exit.USAGE
    assert all(part in refused.stderr for part in ("LISTENING_APPEND_TIME=false", "--realtime"))
    assert "Traceback" not in refused.stderr
    own_time = settings_like(settings, append_time=False)
    produce(own_time, scenario)
    rows = whole_ledger(own_time, 3_000)
    dated: dict[tuple[int, int], int] = {}
    with log_reader(own_time.bootstrap) as reader:
        topic = topics_of(own_time).events.name
        for partition in range(own_time.partitions):
            for record in reader.read(topic, partition, *reader.bounds(topic, partition)):
                dated[partition, record.offset] = record.timestamp
    skew: dict[int, set[int]] = {}
    for row in rows:
        skew.setdefault(row["user_id"], set()).add(row["sent_at"] - dated[row["partition"], row["offset"]])
    assert all(len(of_user) == 1 for of_user in skew.values()), "a client's clock is wrong by the same for all its events"
    wrong = [of_user for [of_user] in skew.values() if of_user]
    assert 0.04 < len(wrong) / len(skew) < 0.13
    assert -3_600_000 <= min(wrong) < 0 < max(wrong) <= 3_600_000
    with processes(own_time) as running:
        for name in ("store", "rank", "classify"):
            running.start(name)
        wait_for("all outcomes", lambda: classified(own_time) == log_size(own_time))
        verdict = verdict_of(own_time)
    assert verdict.exact
    assert verdict.outcomes["invalid"] > 0, "those more than ten minutes ahead"
    honest = [row for row in rows if skew[row["user_id"]] == {0}]
    found = {(partition, offset): outcome for partition, offset, outcome in outcomes(own_time)}
    late = [row for row in honest if found[row["partition"], row["offset"]] == "late"]
    assert len(late) / len(honest) < 0.03, "no wrong clock makes honest plays late"


def test_two_files_of_one_seed_are_byte_identical_and_need_no_broker(settings: Settings, tmp_path: Path) -> None:
    def write(name: str, seed: int) -> tuple[bytes, bytes]:
        file = tmp_path / name
        arguments = ("--scenario", "album-release", "--seed", str(seed), "--events", "20000", "--out", str(file))
        done = listening(settings_like(settings, kafka_bootstrap="127.0.0.1:1"), "produce", *arguments, "--json")
        assert done.returncode == Exit.OK, done.stderr
        assert json.loads(done.stdout)["events"] == 20_000
        return file.read_bytes(), (tmp_path / f"{name}.ledger.parquet").read_bytes()

    one, again, other = write("one", 7), write("again", 7), write("other", 8)
    assert one == again
    assert all(mine != theirs for mine, theirs in zip(one, other, strict=True))
    with (tmp_path / "one").open("rb") as file:
        events = list(fastavro.reader(file))
    assert len(events) == 20_000
    assert events[0]["sent_at"].isoformat().startswith("2026-01-08T21:0")
    refused = listening(settings, "produce", "--out", str(tmp_path / "one"))
    assert refused.returncode == Exit.CHECK_FAILED
    assert "--force" in refused.stderr


def test_list_names_every_scenario_and_show_draws_its_load_from_its_own_records(settings: Settings) -> None:
    listed = json.loads(listening(settings, "scenario", "list", "--json").stdout)
    assert tuple(entry["name"] for entry in listed) == NAMES
    assert "An album at midnight" in listening(settings, "scenario", "list").stdout
    shown = json.loads(listening(settings, "scenario", "show", "retry-storm", "--events", "30000", "--json").stdout)
    assert sum(shown["records"].values()) == 30_000
    minutes = np.array([shown["minutes_of_kind"][kind] for kind in shown["minutes_of_kind"]])
    assert minutes.sum() == 30_000
    assert 20 <= int(minutes.sum(axis=0).argmax()) <= 40, "the storm"
    drawn = listening(settings, "scenario", "show", "album-release", "--events", "30000").stdout
    assert "█" in drawn
    assert "30,000 records: 28,200 play, 600 client_double_send, 900 producer_retry, 300 cross_service" in drawn
    assert "out at 2026-01-08 23:00:00 UTC in DE" in drawn
    assert "at its speed of 60" in drawn


def test_a_scenario_runs_at_its_speed_and_says_what_to_look_at(settings: Settings, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "minutes: 20\nevents: 500\nusers: 500\nartists: 50\nspeed: 300\nrelease: {at: minute 5, artist_share: 0.5}\n"
    )
    began = time.monotonic()
    done = listening(settings, "scenario", "run", str(mine))
    assert done.returncode == Exit.OK, done.stderr
    assert time.monotonic() - began >= 4
    assert "500 acknowledged, 0 failed, 0 unknown" in " ".join(done.stdout.split())
    assert "listening top --at 20" in done.stdout
    assert "listening verify" in done.stdout
    whole_ledger(settings, 500)
    assert [path.name.endswith("-mine.parquet") for path in settings.ledger_dir.iterdir()] == [True]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["scenario", "show", "nope"], "there is no scenario nope"),
        (["scenario", "run", "quiet-night", "--speed", "0"], "--speed must be more than 0"),
        (["scenario", "run", "demo", "--speed", "2", "--realtime"], "can't both"),
        (["produce", "--scenario", "album-release", "--minutes", "5"], "hours are its story"),
        (["produce", "--rate", "5", "--speed", "5"], "can't both"),
        (["produce", "--start", "2026-01-01"], "--start goes with --out"),
        (["produce", "--out", "x", "--rate", "5"], "--out publishes nothing"),
        (["produce", "--scenario", "poison", "--out", "x"], "events alone"),
        (["scenario", "show", "album-release", "--start", "2026-01-01T21:30"], "begins on a thursday 21:00"),
    ],
)
def test_a_mistake_is_told_before_anything_is_sent(settings: Settings, arguments: list[str], part: str) -> None:
    answer = listening(settings, *arguments)
    assert answer.returncode not in (Exit.OK, None)
    said = " ".join(answer.stderr.replace("│", " ").split())
    assert part in said
    assert "Traceback" not in said
