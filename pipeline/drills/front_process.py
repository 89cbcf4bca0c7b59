"""The ClickHouse front as a process of its own, and its faults."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from deploy.embedded.ports import free_ports
from deploy.embedded.sessions import die_with_parent

SECONDS = 30


class Front:
    """A ClickHouse server over the engine in a folder; it may be killed and started again on the same port."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.port, self._control = free_ports(2)
        self.process: subprocess.Popen[str] | None = None

    @property
    def dsn(self) -> str:
        return f"clickhouse://127.0.0.1:{self.port}/default"

    def start(self) -> None:
        """Return when it listens."""
        ports = ["--port", str(self.port), "--control-port", str(self._control)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.drills.clickhouse_front", "--path", str(self._path), *ports],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )
        assert self.process.stdout
        assert self.process.stdout.readline().startswith("ClickHouse "), "the front did not start"

    def faults(self, **changes: Any) -> dict[str, Any]:
        """Switch faults, or only see them; what is in force then, and what was counted."""
        url = f"http://127.0.0.1:{self._control}/faults"
        with httpx.Client(timeout=SECONDS, trust_env=False) as client:
            answer = client.post(url, json=changes) if changes else client.get(url)
        answer.raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    def end(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            try:
                self.process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            assert self.process.stdout
            self.process.stdout.close()
            self.process = None


@contextmanager
def front(path: Path, *, started: bool = True) -> Iterator[Front]:
    """A front without faults; ended whatever happens."""
    made = Front(path)
    try:
        if started:
            made.start()
        yield made
    finally:
        made.end()
