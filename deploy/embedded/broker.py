"""One Kafka node on this machine, on the Java runtime that comes as a wheel: its data, its start, its end.

`python -m deploy.embedded.broker` becomes the broker (exec), for a supervisor; `running_broker` is for tests.
"""

import base64
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deploy.embedded.broker_files import HOST, archive_path, broker_dir, java_command, log4j2, server_properties
from deploy.embedded.jars import fetch_jars
from deploy.embedded.ports import require_free
from deploy.embedded.sessions import die_with_parent
from pipeline import admin
from pipeline import settings as pipeline_settings
from pipeline.errors import Exit, ListeningError, UnavailableError
from pipeline.room import BROKER_NEEDS, wait_for_room
from pipeline.settings import Settings

START_SECONDS = 60
STOP_SECONDS = 10


def require_free_ports(settings: Settings) -> None:
    """Raise RefusedError, naming the variable, where a port of the broker is taken."""
    require_free(HOST, settings.kafka_port, "LISTENING_KAFKA_PORT")
    require_free(HOST, settings.kafka_controller_port, "LISTENING_KAFKA_CONTROLLER_PORT")


def prepare(settings: Settings) -> list[str]:
    """Fetch jars, wait for room, write the configuration, format new storage; the command line that is the broker.

    Kafka halts when its disk is full, and again at each start while it is: to wait here costs the supervisor no attempt.
    Raises ListeningError: a busy port, jars that can't be had, storage that can't be written or formatted.
    """
    require_free_ports(settings)
    jars = fetch_jars(settings.cache_dir, progress=lambda line: print(line, file=sys.stderr))
    folder = broker_dir(settings)
    wait_for_room("the broker", folder / "data", BROKER_NEEDS, lambda line: print(line, file=sys.stderr, flush=True))
    properties, log4j = folder / "server.properties", folder / "log4j2.properties"
    archive = archive_path(settings.cache_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        properties.write_text(server_properties(settings))
        log4j.write_text(log4j2(folder / "broker.log"))
        if not (folder / "data" / "meta.properties").exists():
            _format(
                java_command(jars, [], heap_mb=128, log4j=log4j, archive=archive),
                properties,
                _cluster_id(folder / "cluster.id"),
            )
    except OSError as error:
        raise ListeningError(
            f"The broker's data can't be written to {folder}: {error.strerror}; set LISTENING_DATA_DIR to another folder."
        ) from error
    return java_command(jars, ["kafka.Kafka", str(properties)], heap_mb=settings.kafka_heap_mb, log4j=log4j, archive=archive)


def _cluster_id(path: Path) -> str:
    """The id of this data folder's cluster, made once: 16 random bytes in URL-safe Base64, as Kafka writes them."""
    with suppress(FileNotFoundError):
        return path.read_text().strip()
    # The first byte is fixed: an id that begins with '-' is read as an option.
    cluster_id = base64.urlsafe_b64encode(b"L" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
    path.write_text(cluster_id + "\n")
    return cluster_id


def _format(java: list[str], properties: Path, cluster_id: str) -> None:
    arguments = ["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties), "--ignore-formatted"]
    done = subprocess.run([*java, *arguments], capture_output=True, text=True, timeout=START_SECONDS, check=False)
    if done.returncode:
        detail = (done.stderr or done.stdout).strip().splitlines()
        raise ListeningError(f"The broker's storage could not be formatted: {detail[-1] if detail else done.returncode}.")


@contextmanager
def running_broker(settings: Settings) -> Iterator[None]:
    """A broker that answers, for as long as the block runs; ended whatever happens in it.

    Raises ListeningError where it can't start or doesn't answer within START_SECONDS.
    """
    with running_command(settings, prepare(settings)):
        yield


@contextmanager
def running_command(settings: Settings, command: list[str]) -> Iterator[None]:
    """`running_broker` by a command line of one's own."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent(),  # a test session that is killed takes its broker with it
    )
    try:
        _wait_until_up(process, settings)
        yield
    finally:
        _end(process)


def _wait_until_up(process: "subprocess.Popen[bytes]", settings: Settings) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            admin.wait_for_broker(settings, min(1.0, max(deadline - time.monotonic(), 0.1)))
            return
        except UnavailableError:
            if process.poll() is None and time.monotonic() < deadline:
                continue
            log = broker_dir(settings) / "broker.log"
            lines = log.read_text(errors="replace").splitlines()[-3:] if log.exists() else []
            what = "did not answer" if process.returncode is None else f"ended with code {process.returncode}"
            raise UnavailableError(f"The broker {what} (its log is {log}): {' / '.join(lines)}") from None


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask, wait, kill: the whole process group, which is the broker's own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def main() -> int:
    try:
        command = prepare(pipeline_settings.load())
    except ListeningError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)
    return Exit.RESTART


if __name__ == "__main__":
    sys.exit(main())
