"""A schema registry of a drill's own: the schemas folder, served over HTTP by a process that can be killed.

`python -m pipeline.drills.registry_process --folder SCHEMAS --run RUN --port PORT`
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from deploy.embedded.ports import free_ports, is_listening
from deploy.embedded.sessions import die_with_parent
from pipeline.errors import UnavailableError
from pipeline.registry.http import serve_registry
from pipeline.settings import load

HOST = "127.0.0.1"
SECONDS = 30.0


class Registry:
    """A registry that may be away and come back, on the same port."""

    def __init__(self, folder: Path, run: str) -> None:
        self.folder, self._run = folder, run
        (self._port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    def start(self) -> None:
        """Return when it answers. Raises UnavailableError."""
        words = ["--folder", str(self.folder), "--run", self._run, "--port", str(self._port)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.drills.registry_process", *words],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )
        deadline = time.monotonic() + SECONDS
        while not is_listening(HOST, self._port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise UnavailableError("the drill's schema registry did not start")
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@contextmanager
def registry(folder: Path, run: str) -> Iterator[Registry]:
    """A registry that is up, with the run's names for its subjects; ended whatever happens."""
    made = Registry(folder, run)
    try:
        made.start()
        yield made
    finally:
        made.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    app = FastAPI()
    serve_registry(app, load(schemas_dir=chosen.folder, run=chosen.run))
    uvicorn.run(app, host=HOST, port=chosen.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
