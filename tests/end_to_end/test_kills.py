"""kill -9 under load, one process after the other and all at once: the supervisor has them back, and the result is exact."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from deploy.embedded.programs import environment
from deploy.embedded.supervise import running
from pipeline.settings import Settings, load
from tests.end_to_end.processes import SECONDS, wait_for
from tests.end_to_end.test_pipeline import classified, exact

WORKERS = ("classify", "rank", "store")
RATE, EVENTS, MINUTES = 2_000, 900_000, 200
"""More than is ever sent: the load is ended, as by Ctrl-C, when the kills are over."""
AT_LEAST = 400
"""Source offsets that must get outcomes between two kills: then all are at work again."""


def pid_of(settings: Settings, name: str) -> int | None:
    """The process, once it is ready."""
    try:
        return int((settings.run_dir / "ready" / name).read_text())
    except (FileNotFoundError, ValueError):
        return None


def kill(settings: Settings, *names: str) -> None:
    """kill -9, then wait until the supervisor has them back and ready."""
    victims = dict[str, int]()

    def killed(name: str) -> bool:
        """Not while it is away: a worker that waited too long for an answer ends by itself, and is started again."""
        pid = pid_of(settings, name)
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        victims[name] = pid
        return True

    for name in names:
        wait_for(f"{name} killed", lambda name=name: killed(name))  # type: ignore[misc]
    for name, victim in victims.items():
        wait_for(f"{name} back", lambda name=name, victim=victim: pid_of(settings, name) not in (None, victim))  # type: ignore[misc]


def test_kills_one_by_one_and_together_under_load_leave_an_exact_result_without_manual_steps(settings: Settings) -> None:
    settings = load(**(settings.model_dump() | {"fetch_bytes": 1 << 16}))
    arguments = ["produce", "--events", str(EVENTS), "--minutes", str(MINUTES), "--rate", str(RATE), "--seed", "3", "--json"]
    with running(settings, lambda _line: None):
        producer = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", *arguments],
            env=environment(settings),
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            for victims in (*((name,) for name in WORKERS), WORKERS):
                outcomes_go_on(settings)
                assert producer.poll() is None, "the load must outlast the kills"
                kill(settings, *victims)
            outcomes_go_on(settings)
            producer.send_signal(signal.SIGINT)
            said, _ = producer.communicate(timeout=SECONDS)
            assert producer.returncode == 0
        finally:
            producer.kill()
            producer.wait(SECONDS)
        told = json.loads(said)
        assert told["acknowledged"] == told["published"] < EVENTS
        verdict = exact(settings)
        assert verdict.offsets == told["acknowledged"] + verdict.ticks


def outcomes_go_on(settings: Settings) -> None:
    before = classified(settings)
    wait_for("outcomes", lambda: classified(settings) > before + AT_LEAST)
