"""A supervisord of our own: started, asked, told, and ended together with everything below it."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from deploy.embedded.programs import Program, environment
from deploy.embedded.sessions import die_with_parent, end_session
from deploy.embedded.supervisor_config import STOP_SECONDS, group_of, supervisor_config
from pipeline.errors import UnavailableError
from pipeline.settings import Settings

ANSWER_SECONDS = 20.0
SOCKET_LENGTH = 90
"""Longest path of a unix socket, bytes; the system's limit is 104 or 108, and supervisord appends to it while it binds."""
ENDED = re.compile(r" (?:INFO|WARN) (exited|gave up): (\S+)(?: \((?:exit status (\d+)|([^;)]*))(; expected)?)?")


@dataclass(frozen=True, slots=True)
class End:
    """A process ended by itself: with a code, by a signal (code None), or too often."""

    name: str
    code: int | None
    how: str
    is_final: bool
    """supervisord gave it up, or took the code for one that ends the work."""


class Supervisord:
    """A running supervisord and its XML-RPC."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", socket: Path, log: Path, output: Path, groups: dict[str, str]
    ) -> None:
        self.process = process
        self._socket, self._log, self._output = socket, log, output
        self._groups, self._read = groups, 0

    @property
    def _rpc(self) -> Any:
        # Anew for each call: its connection can't be used again after a failure.
        transport: Any = SupervisorTransport(None, None, f"unix://{self._socket}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport).supervisor

    def start(self, name: str) -> None:
        """Start a process, without waiting until it counts as running."""
        self._rpc.startProcess(f"{self._groups[name]}:{name}", False)

    def stop(self, name: str) -> None:
        """Stop a process as a person would, SIGTERM first; returns when it is gone."""
        self._rpc.stopProcess(f"{self._groups[name]}:{name}", True)

    def pids(self) -> dict[str, int]:
        """The pid of every process that is up."""
        return {info["name"]: info["pid"] for info in self._rpc.getAllProcessInfo() if info["pid"]}

    def ends(self) -> list[End]:
        """Processes that ended since this was asked last.

        From its log: XML-RPC forgets the exit code of a process that ended soon after its start.
        """
        with self._log.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        found = [ENDED.search(line) for line in whole.decode(errors="replace").splitlines()]
        return [_end_of(match) for match in found if match]

    def wait_until_up(self) -> None:
        """Return when it answers; UnavailableError where it doesn't within ANSWER_SECONDS."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            with suppress(OSError, xmlrpc.client.Error):
                self._rpc.getState()
                return
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
            if self.process.returncode is not None or time.monotonic() > deadline:
                said = [file.read_text(errors="replace") for file in (self._log, self._output) if file.exists()]
                reason = "".join(said).strip()[-500:]
                raise UnavailableError(f"supervisord did not start: {reason}")


def _end_of(match: "re.Match[str]") -> End:
    what, name, code, signalled, expected = match.groups()
    how = "given up after many tries" if what == "gave up" else f"exit code {code}" if code else signalled or "unknown"
    return End(name, int(code) if code else None, how, what == "gave up" or bool(expected))


@contextmanager
def supervisord(settings: Settings, programs: Sequence[Program]) -> Iterator[Supervisord]:
    """supervisord with these programs, none started; at the end it and every process of its session are gone."""
    folder = settings.run_dir / "supervisor"
    folder.mkdir(parents=True, exist_ok=True)
    log, output, config = folder / "supervisord.log", folder / "output.log", folder / "supervisord.conf"
    log.unlink(missing_ok=True)
    socket = _short_path(folder / "socket")
    process = None
    try:
        config.write_text(supervisor_config(settings, programs, folder, socket))
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)],
                env=environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )
        running = Supervisord(process, socket, log, output, {program.name: group_of(program) for program in programs})
        running.wait_until_up()
        yield running
    finally:
        if process is not None:
            _end(process)
        socket.unlink(missing_ok=True)
        if socket.parent != folder:
            socket.parent.rmdir()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask it to stop its processes, two groups one after the other, and to end; then kill what is left of its session."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(2 * STOP_SECONDS + 10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    left = end_session(process.pid, seconds=5)
    if left:
        raise UnavailableError(f"Processes {left} could not be ended: the system keeps them.")


def _short_path(wanted: Path) -> Path:
    """`wanted`, or where its path is too long for a socket, one in a temporary folder of its own."""
    if len(bytes(wanted)) <= SOCKET_LENGTH:
        wanted.unlink(missing_ok=True)
        return wanted
    temporary = tempfile.gettempdir() if len(os.fsencode(tempfile.gettempdir())) < SOCKET_LENGTH - 20 else "/tmp"
    return Path(tempfile.mkdtemp(prefix="listening-", dir=temporary)) / "s"
