"""The running processes, asked from outside: what runs where, what ended, what stays down and why."""

import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.programs import Program, ready_file
from deploy.embedded.supervisord import End, Supervisord
from pipeline import admin
from pipeline.errors import Exit, RefusedError, UnavailableError
from pipeline.settings import Settings

READY_SECONDS = 90
"""From start to ready, at most, for the broker and again for the others."""
START_ENDS = 3
"""Ends of one process, before everything was ready once, that are taken for a fault that no restart mends."""
TAIL_LINES = 8
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Service:
    """One process of the stack: pid None while it is between two starts."""

    name: str
    pid: int | None
    address: str
    log: Path


class Stack:
    """What `listening up` runs."""

    def __init__(self, settings: Settings, programs: Sequence[Program], daemon: Supervisord) -> None:
        self.settings = settings
        self._programs, self._daemon = {program.name: program for program in programs}, daemon
        self._ends: Counter[str] = Counter()

    def services(self) -> list[Service]:
        """What runs where, now."""
        pids = self.pids()
        return [Service(p.name, pids.get(p.name), p.address, p.logs[-1]) for p in self._programs.values()]

    def pids(self) -> dict[str, int]:
        """The pid of every process that is up."""
        return self._daemon.pids()

    def ready(self, name: str) -> int | None:
        """The pid of a process that is up and has said that it is ready, else None."""
        pid = self.pids().get(name)
        return pid if self._is_ready(name, pid) else None

    def start(self, name: str) -> None:
        """Start a process that was stopped or stays down; does not wait for it."""
        self._daemon.start(name)

    def stop(self, name: str) -> None:
        """Stop a process, SIGTERM first; it stays down."""
        self._daemon.stop(name)

    def ends(self) -> list[End]:
        """Processes that ended by themselves since this, or `check`, was asked last."""
        return self._daemon.ends()

    def check(self) -> None:
        """Raise RefusedError, with the last lines of its log, where a process stays down."""
        for end in self._daemon.ends():
            self._ends[end.name] += 1
            # A code that arrives soon after the start isn't final to supervisord, which would try again: it is to us.
            if end.code == Exit.STAY_DOWN or (end.is_final and not self._restarts_always(end)):
                raise self._stays_down(end)

    def wait(self) -> None:
        """Never returns: raises RefusedError as soon as a process stays down, and KeyboardInterrupt on a signal."""
        while True:
            self._pause(5 * POLL_SECONDS)
            self.check()

    def start_broker(self, name: str) -> None:
        """Start the broker, return when it answers."""
        self._daemon.start(name)
        deadline = time.monotonic() + READY_SECONDS
        while True:
            with suppress(UnavailableError):
                admin.wait_for_broker(self.settings, 5 * POLL_SECONDS)
                return
            self._check_start([name], deadline)

    def start_workers(self, names: Sequence[str]) -> None:
        """Start these side by side, return when each has written its pid to its ready file."""
        for name in names:
            self._daemon.start(name)
        deadline = time.monotonic() + READY_SECONDS
        while waiting := self._not_ready(names):
            self._check_start(waiting, deadline)
            self._pause(POLL_SECONDS)

    def _not_ready(self, names: Sequence[str]) -> list[str]:
        pids = self.pids()
        return [name for name in names if not self._is_ready(name, pids.get(name))]

    def _is_ready(self, name: str, pid: int | None) -> bool:
        # The pid is compared: a file may be left from a process that was killed.
        return pid is not None and _ready_pid(ready_file(self.settings, name)) == str(pid)

    def _check_start(self, waiting: Sequence[str], deadline: float) -> None:
        self.check()
        for name, count in self._ends.items():
            if count >= START_ENDS:
                raise RefusedError(f"{name} ended {count} times while starting; {self._tail(name)}")
        if time.monotonic() > deadline:
            raise UnavailableError(f"{waiting[0]} was not ready within {READY_SECONDS} s; {self._tail(waiting[0])}")

    def _restarts_always(self, end: End) -> bool:
        return self._programs[end.name].is_broker and end.code is not None

    def _stays_down(self, end: End) -> RefusedError:
        return RefusedError(f"{end.name} stays down ({end.how}); {self._tail(end.name)}")

    def _tail(self, name: str) -> str:
        for log in reversed(self._programs[name].logs):
            lines = log.read_text(errors="replace").rstrip().splitlines() if log.exists() else []
            if lines:
                return f"its log, {log}, ends with:\n" + "\n".join(f"  {line}" for line in lines[-TAIL_LINES:])
        return f"its log, {self._programs[name].logs[-1]}, is empty."

    def _pause(self, seconds: float) -> None:
        """Wait, but no longer than supervisord lives."""
        try:
            self._daemon.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return
        raise UnavailableError(
            f"supervisord ended (code {self._daemon.process.returncode}), and everything below it is stopped."
        )


def _ready_pid(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return None
