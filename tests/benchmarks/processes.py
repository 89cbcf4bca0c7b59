"""Processes under measurement: started in a session of their own, looked at, ended, and asked what they cost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from deploy.embedded.sessions import die_with_parent, end_session
from pipeline.drills.watch import memory_mb
from pipeline.errors import ListeningError

LOOK_SECONDS = 0.05
TERM_SECONDS = 8.0
"""From SIGTERM to SIGKILL."""
KILL_SECONDS = 10.0
TAIL, LINES = 1500, 5


class BenchError(ListeningError):
    """A measurement could not be made: who failed, and the end of what it wrote."""


class Child:
    """One process. Its peak memory is the kernel's own mark of it, read often: rusage would hold the parent's, too."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name, self.pid, self.log = name, process.pid, log
        self.cpu_seconds, self.peak_mb = 0.0, 0
        self.code: int | None = None
        """Exit code, negative for a signal; None while it runs."""
        self._process = process

    def look(self) -> None:
        """Note its memory, and whether it has ended."""
        if self.code is not None:
            return
        if found := memory_mb(self.pid):
            self.peak_mb = max(self.peak_mb, found[1])
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if pid:
            self.code = self._process.returncode = os.waitstatus_to_exitcode(status)
            self.cpu_seconds = usage.ru_utime + usage.ru_stime

    def written(self) -> str:
        return self.log.read_text(errors="replace")

    def end(self) -> None:
        """SIGTERM, then SIGKILL; nothing of its session is left."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGTERM)
        self._gone_within(TERM_SECONDS)
        end_session(self.pid, KILL_SECONDS)
        self._gone_within(KILL_SECONDS)

    def _gone_within(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.code is None and time.monotonic() < deadline:
            self.look()
            time.sleep(LOOK_SECONDS)


class Children:
    """The processes of one turn. `folder`: where they run and write."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self.environment = folder, dict(environment)
        self.all: list[Child] = []

    def start(self, name: str, command: Sequence[str], **variables: str) -> Child:
        log = self._folder / f"{name}.log"
        with log.open("wb") as written:
            process = subprocess.Popen(
                command,
                cwd=self._folder,
                env=self.environment | variables,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )
        child = Child(name, process, log)
        self.all.append(child)
        return child

    def start_worker(self, name: str, module: str) -> Child:
        """A worker of ours, by its module."""
        return self.start(name, [sys.executable, "-m", module])

    def until(self, what: str, condition: Callable[[], bool], seconds: float, every: float = LOOK_SECONDS) -> None:
        """Return as soon as the condition holds. Raises BenchError naming `what` after `seconds`, or where one has ended."""
        deadline = time.monotonic() + seconds
        while not condition():
            for child in self.all:
                child.look()
                if child.code is not None:
                    raise BenchError(f"{child.name} ended ({child.code}): {child.written()[-TAIL:]}")
            if time.monotonic() > deadline:
                tails = "; ".join(f"{child.name}: {child.written()[-TAIL:]}" for child in self.all)
                raise BenchError(f"{what}: not within {seconds:.0f} s; {tails}")
            time.sleep(every)

    def until_ended(self, child: Child, seconds: float) -> None:
        """Return when this one has ended by itself. Raises BenchError after `seconds`."""
        deadline = time.monotonic() + seconds
        while child.code is None:
            child.look()
            if time.monotonic() > deadline:
                raise BenchError(f"{child.name}: not through within {seconds:.0f} s; {child.written()[-TAIL:]}")
            time.sleep(LOOK_SECONDS)

    def end(self) -> None:
        for child in self.all:
            child.end()

    @property
    def cpu(self) -> dict[str, float]:
        """By name; of those that have ended."""
        return {child.name: round(child.cpu_seconds, 3) for child in self.all}

    @property
    def said(self) -> tuple[str, ...]:
        """The warnings that they wrote, a few of each."""
        warnings = {
            child.name: [line for line in child.written().splitlines() if "warn" in line.lower()] for child in self.all
        }
        return tuple(f"{name}: {line[-300:]}" for name, lines in warnings.items() for line in lines[:LINES])

    @property
    def peak_mb(self) -> dict[str, int]:
        return {child.name: child.peak_mb for child in self.all}


@contextmanager
def children(folder: Path, environment: Mapping[str, str]) -> Iterator[Children]:
    """Processes that have all ended when the block ends, however it does."""
    folder.mkdir(parents=True, exist_ok=True)
    group = Children(folder, environment)
    try:
        yield group
    finally:
        group.end()
