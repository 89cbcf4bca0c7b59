"""Real worker processes under test: started, awaited, killed by pid, never left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.embedded.sessions import die_with_parent
from pipeline.errors import Exit
from pipeline.settings import Settings
from tests.conftest import settings_env

MODULES = {"classify": "pipeline.workers.classify", "rank": "pipeline.workers.rank", "store": "pipeline.store"}
SECONDS = 120.0
"""A bound, not an expectation: on a busy machine a process may stand still for a while at any moment."""


def wait_for(what: str, condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Return as soon as the condition holds; an AssertionError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.05)


@dataclass
class Processes:
    """The processes of one run."""

    settings: Settings
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str, *, ready: bool = True, command: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start a worker and wait until it says that it is ready. `command`: another than the stage's own."""
        log = self.settings.run_dir / f"{name}.test.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as sink:
            process = subprocess.Popen(
                command or [sys.executable, "-m", MODULES[name]],
                env=settings_env(self.settings),
                cwd=Path(__file__).parents[2],
                stdout=sink,
                stderr=sink,
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )
        self._started.append(process)
        if ready:
            self.wait_until_ready(name, process)
        return process

    def wait_until_ready(self, name: str, process: subprocess.Popen[bytes]) -> None:
        file = self.settings.run_dir / "ready" / name

        def announced() -> bool:
            assert process.poll() is None, f"{name} ended with {process.returncode}: {self.log(name)[-2000:]}"
            return file.exists() and file.read_text() == str(process.pid)

        wait_for(f"{name} ready", announced)

    def log(self, name: str) -> str:
        return (self.settings.run_dir / f"{name}.test.log").read_text(errors="replace")

    def ended(self, process: subprocess.Popen[bytes]) -> int:
        """Wait until the process ends by itself; its exit code."""
        return process.wait(SECONDS)

    @contextmanager
    def supervised(self, workers: Mapping[str, subprocess.Popen[bytes]]) -> Iterator[None]:
        """Meanwhile these workers, by name, are started anew where they end to be, as the supervisor would: any may have
        awaited an acknowledgement for too long. None of them may end otherwise."""
        newest, stop = dict(workers), threading.Event()

        def watch() -> None:
            while not stop.wait(0.2):
                for name, process in newest.items():
                    if process.poll() == Exit.RESTART:
                        newest[name] = self.start(name, ready=False)

        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            try:
                yield
            finally:
                stop.set()
                watching.result(SECONDS)
        for name, process in newest.items():
            assert process.poll() in (None, Exit.RESTART), self.log(name)

    def stop_all(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self._started:
            try:
                process.wait(8)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(SECONDS)


@contextmanager
def processes(settings: Settings) -> Iterator[Processes]:
    """Processes of the run, all ended afterwards."""
    group = Processes(settings)
    try:
        yield group
    finally:
        group.stop_all()


_HELD = """
import asyncio, sys
from pathlib import Path
from pipeline.drills.seams import wrap
from pipeline.workers.classify import ClassifyLane, main

most, gate, taken = int(sys.argv[1]), Path(sys.argv[2]), 0

def around(take):
    async def held(self, fetch):
        global taken
        while taken >= most and not gate.exists():
            await asyncio.sleep(0.05)
        taken += fetch.next - fetch.first
        await take(self, fetch)
    return held

wrap(ClassifyLane, "_take", around)
main()
"""


def held_at(run: Processes, offsets: int) -> subprocess.Popen[bytes]:
    """A classify worker that takes no more once it has taken so many source offsets, until it is `let_on`, or killed.

    So whoever waits for a part of the outcomes can't come when all are there, however long it stood still meanwhile.
    """
    return run.start("classify", command=[sys.executable, "-c", _HELD, str(offsets), str(_gate(run.settings))])


def let_on(settings: Settings) -> None:
    """The held worker, also one that stands still, goes on from now on."""
    _gate(settings).touch()


def _gate(settings: Settings) -> Path:
    return settings.run_dir / "let-on"


def freeze(process: subprocess.Popen[bytes]) -> None:
    """SIGSTOP, and wait until every thread stands still: on a busy machine they go on for a moment."""
    os.kill(process.pid, signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)


def kill(process: subprocess.Popen[bytes]) -> None:
    """kill -9, and wait until it is gone."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait(SECONDS)


def listening(settings: Settings, *arguments: str, seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
    """One command of `listening` under these settings, as a user calls it."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        env=settings_env(settings),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
