"""`listening` as a user calls it: the demo from nothing to a verdict, and a mistake is one sentence."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.embedded.ports import free_ports, is_listening
from deploy.embedded.sessions import members
from pipeline.errors import Exit
from tests.end_to_end.processes import SECONDS, wait_for

ROOT = Path(__file__).parents[2]
LISTENING = [sys.executable, "-m", "pipeline.cli"]


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a user whose ports and data folder are free."""
    broker, controller, store = free_ports(3)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LISTENING_")}
    return inherited | {
        "LISTENING_DATA_DIR": str(tmp_path / "data"),
        "LISTENING_KAFKA_PORT": str(broker),
        "LISTENING_KAFKA_CONTROLLER_PORT": str(controller),
        "LISTENING_STORE_PORT": str(store),
    }


def listening(home: dict[str, str], *arguments: str, seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LISTENING, *arguments], env=home, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
    )


@contextmanager
def up(home: dict[str, str], run: str) -> Iterator[subprocess.Popen[str]]:
    """`listening up`, ready; interrupted as by Ctrl-C afterwards."""
    process = subprocess.Popen(
        [*LISTENING, "up", "--run", run, "--json"],
        env=home, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        services = json.loads(process.stdout.readline() or "[]")
        assert {service["name"] for service in services} == {"broker", "classify", "rank", "store"}
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=SECONDS)


def nothing_is_left(home: dict[str, str], session: int | None = None) -> None:
    for name in ("KAFKA", "KAFKA_CONTROLLER", "STORE"):
        port = int(home[f"LISTENING_{name}_PORT"])
        wait_for(f"port {port} closed", lambda port=port: not is_listening("127.0.0.1", port))  # type: ignore[misc]
    if session is not None:
        assert members(session) == []


def test_the_demo_is_exact_leaves_nothing_running_and_its_run_can_be_asked_again(home: dict[str, str]) -> None:
    demo = listening(home, "demo", "--events", "20000", "--json", seconds=240)
    assert demo.returncode == Exit.OK, demo.stderr[-3000:]
    nothing_is_left(home)
    result = json.loads(demo.stdout)
    assert result["produced"]["acknowledged"] == 20_000
    assert result["verdict"]["exact"]
    assert result["classify_events_per_second"] > 0
    before, after = ([place["artist_id"] for place in result[when]["artists"]] for when in ("before", "after"))
    released = result["produced"]["hit_artist_id"]
    assert released in after
    assert released not in before
    outcomes = [copy["outcome"] for copy in result["story"]["copies"]]
    assert outcomes.count("accepted") == 1
    assert outcomes.count("duplicate") == len(outcomes) - 1 >= 1

    with up(home, "demo") as process:
        top = json.loads(listening(home, "top", "--run", "demo", "--json").stdout)
        assert len(top["artists"]) == 10
        assert top["artists"][0]["name"]
        plays = listening(home, "sql", "--run", "demo", "--json", "SELECT count() AS n FROM plays FINAL")
        expected = result["verdict"]["outcomes"]["accepted"] + result["verdict"]["outcomes"]["late"]
        assert json.loads(plays.stdout) == [{"n": expected}]
        story = json.loads(listening(home, "story", "--run", "demo", "--json", result["story"]["event_id"]).stdout)
        assert story == result["story"]["copies"]
        again = listening(home, "produce", "--run", "demo", "--events", "1000")
        assert again.returncode != Exit.OK
        assert "--run NAME" in again.stderr
        assert "--realtime" in again.stderr
    nothing_is_left(home, process.pid)


@pytest.mark.parametrize(
    ("variable", "value", "part"),
    [
        ("LISTENING_PARTITIONS", "four", "LISTENING_PARTITIONS='four'"),
        ("LISTENING_HORIZON", "3600", "LISTENING_HORIZON is no setting: is LISTENING_HORIZON_SECONDS meant?"),
        ("LISTENING_COLOUR", "red", "LISTENING_COLOUR is no setting: unset it"),
        ("LISTENING_NEAR_DUPLICATES", "maybe", "LISTENING_NEAR_DUPLICATES='maybe'"),
        (
            "LISTENING_NEAR_TOLERANCE_SECONDS",
            "7200",
            "LISTENING_NEAR_TOLERANCE_SECONDS (7200) must be at least 1 and at most",
        ),
        ("LISTENING_RUN", "My Run", "LISTENING_RUN='My Run': must be 1 to 40 of a-z"),
        ("LISTENING_WINDOW_SECONDS", "3601", "whole number of panes"),
        ("LISTENING_HORIZON_SECONDS", "60", "LISTENING_HORIZON_SECONDS (60) must be at least"),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(home: dict[str, str], variable: str, value: str, part: str) -> None:
    answer = listening(home | {variable: value}, "settings")
    assert answer.returncode == Exit.STAY_DOWN
    assert part in answer.stderr
    assert "Traceback" not in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["top"], "start it with `listening up --run live`"),
        (["verify"], "127.0.0.1"),
        (["produce", "--events", "1000"], "127.0.0.1"),
        (["story", "not-an-id"], "is no event id"),
        (["top", "--at", "yesterday"], "is no ISO 8601 time"),
        (["demo", "--run", "live"], "must begin with demo"),
        (["delete", "live"], "--yes"),
    ],
)
def test_a_mistake_is_a_sentence_and_never_a_traceback(home: dict[str, str], arguments: list[str], part: str) -> None:
    answer = listening(home, *arguments, seconds=SECONDS)
    assert answer.returncode not in (Exit.OK, None)
    assert part in " ".join(answer.stderr.split())
    assert "Traceback" not in answer.stderr


def test_settings_say_value_default_unit_and_source(home: dict[str, str]) -> None:
    answer = listening(home | {"LISTENING_GRACE_SECONDS": "90"}, "settings", "--json")
    entries = {entry["variable"]: entry for entry in json.loads(answer.stdout)}
    grace = entries["LISTENING_GRACE_SECONDS"]
    assert (grace["value"], grace["default"], grace["unit"], grace["source"]) == (90, 60, "s", "environment")
    assert entries["LISTENING_TOP_K"]["source"] == "default"
    assert all(entry["meaning"] for entry in entries.values())
