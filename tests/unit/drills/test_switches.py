"""Switches between a drill and real processes: consumed once, told with its instant, and a process's own settings."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.drills.switches import Armed, Slowness, Switches, arm, armed, disarm, fired, override, slow
from pipeline.drills.worker import _own_settings, command
from pipeline.errors import Exit
from pipeline.settings import Settings, load
from tests.conftest import settings_env

SECONDS = 120
REACHING = """
import sys
from pipeline.drills.switches import Switches
from pipeline.settings import load
switches = Switches(load(), sys.argv[1])
print("begun", flush=True)
sys.stdin.readline()
for _ in range(2_000):
    switches.reach("after decide")
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(data_dir=tmp_path)


def run_together(settings: Settings, *names: str) -> list[tuple[int, int]]:
    """Processes that reach the crash point again and again, all at the same time: pid and exit code of each."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", REACHING, name],
            env=settings_env(settings),
            cwd=Path(__file__).parents[3],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for name in names
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        return [(process.pid, process.wait(SECONDS)) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait(SECONDS)


def test_of_all_processes_that_a_pattern_fits_exactly_one_ends_and_the_drill_hears_which_and_when(
    settings: Settings,
) -> None:
    names = ["classify", "classify-2", "classify-3", "rank"]
    arm(settings, "classify*", "after decide")
    began, before = time.monotonic(), time.time()
    codes = run_together(settings, *names)
    killed = [(name, pid) for name, (pid, code) in zip(names, codes, strict=True) if code == -signal.SIGKILL]
    assert sorted(code for _, code in codes) == [-signal.SIGKILL, 0, 0, 0]
    (told,) = fired(settings)
    assert [(told.name, told.pid)] == killed
    assert told.name != "rank"
    assert told.point == "after decide"
    now, took = time.time(), time.monotonic() - began
    assert min(before, now - took) <= told.at <= max(now, before + took)  # also if the clock was set meanwhile
    assert armed(settings) == []


def test_two_armed_points_end_two_processes_and_each_tells_of_itself(settings: Settings) -> None:
    arm(settings, "classify", "after decide")
    arm(settings, "classify*", "after decide")
    codes = run_together(settings, "classify", "classify-2", "classify-3")
    assert sorted(code for _, code in codes) == [-signal.SIGKILL, -signal.SIGKILL, 0]
    assert len(fired(settings)) == 2
    assert len(fired(settings, "classify")) == len(fired(settings, "classify-?")) == 1


def test_other_points_and_other_names_pass_and_what_is_disarmed_does_not_fire(settings: Settings) -> None:
    switches = Switches(settings, "classify-2")
    switches.reach("after fetch")  # nothing is there, not even the folder
    arm(settings, "classify", "after fetch")
    arm(settings, "classify-2", "during a dead-letter write")
    switches.reach("after fetch")
    assert not switches.is_armed("after fetch")
    assert switches.is_armed("during a dead-letter write")
    assert armed(settings) == [Armed("classify", "after fetch"), Armed("classify-2", "during a dead-letter write")]
    assert disarm(settings, "classify-2", "during a dead-letter write")
    assert not disarm(settings, "classify-2", "during a dead-letter write")
    switches.reach("during a dead-letter write")
    assert fired(settings) == []


def test_slowness_is_switched_while_the_process_runs_and_is_its_own(settings: Settings) -> None:
    switches, other = Switches(settings, "classify"), Switches(settings, "classify-2")
    assert switches.slowness() is None
    slow(settings, "classify", factor=10)
    assert switches.slowness() == Slowness(10.0, 0.0)
    assert Slowness(10.0, 0.0).pause(0.2) == pytest.approx(1.8)  # 0.2 s of work and 1.8 s: ten times as long
    assert Slowness(1.0, 0.5).pause(0.2) == 0.5
    assert other.slowness() is None
    slow(settings, "classify")
    assert switches.slowness() is None
    with pytest.raises(ValueError, match="no slowness"):
        slow(settings, "classify", factor=0.5)


def test_a_process_has_settings_of_its_own_where_the_drill_says_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTENING_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("LISTENING_KEEP_SECONDS", "5")
    monkeypatch.setenv("LISTENING_DLQ_CEILING_CONSECUTIVE", "7")  # so that what is set here is taken back behind the test
    monkeypatch.setenv("LISTENING_FAST_FETCH", "true")
    override(settings, "classify", {"dlq_ceiling_consecutive": 1_000_000, "fast_fetch": False, "keep_seconds": None})
    assert (_own_settings("classify-2").dlq_ceiling_consecutive, _own_settings("classify-2").keep_seconds) == (7, 5)
    own = _own_settings("classify")
    assert (own.dlq_ceiling_consecutive, own.fast_fetch, own.keep_seconds) == (1_000_000, False, None)
    assert load() == own, "the real main loads them once more"


@pytest.mark.parametrize(
    ("stage", "name", "breach", "code", "said"),
    [
        ("classify", "rank-2", None, Exit.USAGE, "a classify process can't be named rank-2"),
        ("store", "store-2", None, Exit.USAGE, "there is one in a run"),
        ("classify", "classify", None, Exit.STAY_DOWN, "names dlq_ceiling, which is no setting"),
        ("rank", "rank", "no-dedup", Exit.STAY_DOWN, "rank does not promise what no-dedup takes back; classify does"),
        ("rank", "rank", "no-tests", Exit.STAY_DOWN, "no-tests is no breach: no-dedup, ack-before-append"),
    ],
)
def test_what_a_worker_can_not_be_asked_is_refused_at_once(
    settings: Settings, stage: str, name: str, breach: str | None, code: int, said: str
) -> None:
    override(settings, "classify", {"dlq_ceiling": 3})
    ended = subprocess.run(
        command(stage, name, breach),  # type: ignore[arg-type]
        env=settings_env(settings),
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
