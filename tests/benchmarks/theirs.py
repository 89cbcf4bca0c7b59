"""The peers: prepared once, then run in turn on the rig's topic, each with a fresh group and state of its own."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from deploy.embedded.jars import fetch_jars, read_lock
from tests.benchmarks.processes import BenchError
from tests.benchmarks.results import NoResultError, Round, parse_result
from tests.benchmarks.rig import Rig

PEERS = Path(__file__).with_name("peers")
QUIX = "quixstreams==3.28.1"
PREPARE_SECONDS = 600
PEER_SECONDS = 580.0
"""Kafka Streams gives up by itself after 600."""
FAUST_PART = 4
"""Faust as its manual shows it gets every so many-th of the events: its rate does not depend on how many there are, and the
smaller its state the better for it."""
FAUST_LEAST = 100_000


class SkippedError(Exception):
    """A peer can't take part; the sentence says why."""


Turn = Callable[[], Round]


def kafka_streams(rig: Rig) -> Turn:
    """Kafka Streams, at_least_once, RocksDB, two threads. Raises SkippedError without a JDK or its jars."""
    java, javac = shutil.which("java"), shutil.which("javac")
    if not (java and javac):
        raise SkippedError("no javac on the PATH: Kafka Streams wants a JDK, 17 or later")
    try:
        lock = read_lock(PEERS / "jars.lock.json")
        jars = ":".join(map(str, fetch_jars(rig.settings.cache_dir / "peers", lock=lock)))
    except Exception as error:
        raise SkippedError(f"its jars can't be had: {error}") from error
    classes = rig.folder / "classes"
    _prepared([javac, "-cp", jars, "-d", str(classes), str(PEERS / "KsBench.java")])
    command = [java, "-Xmx2g", "-cp", f"{classes}:{jars}"]
    arguments = ["KsBench", rig.settings.bootstrap, rig.topic, str(rig.events), "at_least_once", "rocks", "2"]

    def turn() -> Round:
        rig.make_topic("ks-out")
        temporary = f"-Djava.io.tmpdir={rig.folder / 'turn' / 'tmp'}"
        return _run(rig, "kafka-streams", [*command, temporary, *arguments])

    return turn


def quix_streams(rig: Rig) -> Turn:
    """Quix Streams in a virtual environment of its own, made once. Raises SkippedError where that can't be made."""
    venv = (rig.settings.cache_dir / "peers" / QUIX.replace("==", "-")).absolute()
    made = venv / ".made"
    if not made.exists():
        _prepared([sys.executable, "-m", "venv", "--clear", str(venv)])
        _prepared([str(venv / "bin" / "pip"), "install", "--quiet", QUIX])
        made.touch()
    command = [str(venv / "bin" / "python"), str(PEERS / "quix_streams_peer.py")]
    return lambda: _run(rig, "quix-streams", [*command, rig.settings.bootstrap, rig.topic, str(rig.events)])


def faust(rig: Rig) -> Turn:
    """Faust as its manual shows it, an event at a time."""
    events = min(rig.events, max(rig.events // FAUST_PART, FAUST_LEAST))
    command = [sys.executable, "-m", "faust", "-A", "faust_idiomatic_peer", "worker", "-l", "warn", "--without-web"]
    variables = {"BOOTSTRAP": rig.settings.bootstrap, "TOPIC": rig.topic, "N": str(events)}
    return lambda: _run(rig, "faust", command, **variables)


def aiokafka(rig: Rig) -> Turn:
    """aiokafka alone, with the workers' fetch sizes."""
    settings = rig.settings
    numbers = (settings.partitions, rig.records, settings.fetch_bytes)
    command = [sys.executable, str(PEERS / "floor_aiokafka.py"), settings.bootstrap, rig.topic, *map(str, numbers)]
    return lambda: _run(rig, "aiokafka", command)


def _run(rig: Rig, name: str, command: list[str], **variables: str) -> Round:
    with rig.turn() as group:
        path = ":".join(filter(None, (str(PEERS), group.environment.get("PYTHONPATH"))))
        child = group.start(name, command, PYTHONPATH=path, **variables)
        group.until_ended(child, PEER_SECONDS)
        output = child.written()
    try:
        events, rate = parse_result(output)
    except NoResultError as error:
        raise BenchError(f"{name} ended ({child.code}): {error}") from error
    return Round(events, events / rate, group.cpu, group.peak_mb)


def _prepared(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PREPARE_SECONDS, check=False)
    if done.returncode:
        raise SkippedError(
            f"{Path(command[0]).name} ended with {done.returncode}: {(done.stderr or done.stdout)[-300:].strip()}"
        )
