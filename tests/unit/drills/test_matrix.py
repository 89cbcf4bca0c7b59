"""The matrix: complete, tellable, and named by the command line."""

import json
import subprocess
import sys

import pytest

from pipeline.drills.crash_points import POINTS_OF
from pipeline.drills.drill import Drill
from pipeline.drills.matrix import CONTROLS, FAULTS, SHORT
from pipeline.drills.told import Result, Verdict

EVERY = (*FAULTS, *CONTROLS, *SHORT)


def drill_command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pipeline.cli", "drill", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_there_is_one_drill_for_each_of_the_twenty_faults() -> None:
    assert [drill.number for drill in FAULTS] == list(range(1, 21))


def test_every_drill_has_a_name_of_its_own() -> None:
    assert len({drill.name for drill in EVERY}) == len(EVERY)


@pytest.mark.parametrize("drill", EVERY, ids=lambda drill: drill.name)
def test_every_load_can_be_told_and_follows_its_seed(drill: Drill) -> None:
    told = drill.load.told(7)
    assert told.seed == 7
    assert told.events == drill.load.rate * drill.load.seconds


def test_every_control_takes_back_a_promise_and_says_which_oracle_must_see_it() -> None:
    assert [drill.breach for drill in CONTROLS] == ["no-dedup", "ack-before-append", "at-ignored", "commit-before-insert"]
    assert all(drill.expects.startswith("O") for drill in CONTROLS)


def test_the_first_fault_names_each_crash_point() -> None:
    (first,) = (drill for drill in FAULTS if drill.number == 1)
    assert all(point in first.fault for point in POINTS_OF["classify"])


def test_the_list_tells_all_of_them_as_json() -> None:
    done = drill_command("list", "--json")
    assert [entry["name"] for entry in json.loads(done.stdout)] == [drill.name for drill in EVERY]


def test_a_drill_that_does_not_exist_is_refused_with_those_that_do() -> None:
    done = drill_command("run", "earthquake")
    assert done.returncode == 2
    assert "there is no drill earthquake" in done.stderr
    assert "crash-points" in done.stderr


def result(verdicts: tuple[Verdict, ...], *, expects: str = "", error: str = "") -> Result:
    return Result(
        number=1, name="n", title="", fault="", bound="", seed=1, started="", seconds=0.0, moments=(), samples=(),
        verdicts=verdicts, peak_mb={}, figures={}, expects=expects, error=error,
    )  # fmt: skip


YES, NO = Verdict("O1 equality", True, "equal"), Verdict("O1 equality", False, "plays: 3 rows differ")


@pytest.mark.parametrize(
    ("told", "passed"),
    [
        (result((YES,)), True),
        (result((YES, NO)), False),
        (result((YES, Verdict("O5 replay", None, "does not apply"))), True),
        (result(()), False),
        (result((YES,), error="the load ended before the fault"), False),
        (result((NO,), expects="O1: plays"), True),
        (result((NO,), expects="O1: ranked lists"), False),
        (result((NO,), expects="O4: plays"), False),
        (result((YES,), expects="O1: plays"), False),
    ],
)
def test_a_drill_passes_if_no_oracle_says_no_and_a_control_if_the_expected_one_does(told: Result, passed: bool) -> None:
    assert told.passed is passed
