"""The sink's rate: `python -m tests.benchmarks.bench_sink`, about a minute, with a broker of its own.

memory:  plays records in memory ─► rows ─► inserts into a fresh engine, best of 3
backlog: the same records in Kafka ─► the whole sink (fetch, rows, inserts, commits) ─► a fresh engine
Each in a process of its own with the store's own switches for memory, so that its high-water mark is the sink's.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

import pipeline.store.__main__  # noqa: F401  its switches, before polars and pyarrow read them
from deploy.embedded.broker import running_broker
from deploy.embedded.ports import free_ports
from deploy.embedded.programs import environment
from pipeline.admin import ensure_topics
from pipeline.drills.watch import memory_mb
from pipeline.settings import Settings, load
from pipeline.store import migrate
from pipeline.store.client import Pool
from pipeline.store.pending import Pending
from pipeline.store.readers import PlaysReader
from pipeline.store.records import Record
from pipeline.store.sinks import Sinks
from pipeline.store.writer import ClickHouseWriter
from pipeline.topics import topics_of
from tests.benchmarks.plays_records import plays_records

EVENTS, ROUNDS = 1_000_000, 3
SECONDS = 300


def sink_rate(settings: Settings) -> dict[str, Any]:
    """Sink the run's `plays`, all that are there now, into an engine folder of this measurement's own.

    Rows are those inserted into `plays` and `duplicates`; `peak_mb` is the process's high-water mark. Raises RuntimeError,
    with what the process said, where it ended otherwise or took longer than SECONDS. The run's own sink must not run
    meanwhile; it begins again at the log's start if what this one committed isn't in its store.
    """
    with tempfile.TemporaryDirectory() as folder:
        ours = settings.model_copy(update={"data_dir": Path(folder), "kafka_bootstrap": settings.bootstrap})
        return _child("backlog", ours)


def in_memory(rounds: int = ROUNDS) -> dict[str, Any]:
    """The best of so many rounds over EVENTS events: no Kafka."""
    with tempfile.TemporaryDirectory() as folder:
        return _child("memory", load(data_dir=Path(folder)), str(rounds))


def _child(*arguments: Any) -> dict[str, Any]:
    what, settings, *others = arguments
    command = [sys.executable, "-m", "tests.benchmarks.bench_sink", what, *others]
    done = subprocess.run(
        command, env=environment(settings), capture_output=True, text=True, timeout=SECONDS + 60, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{what} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _backlog(settings: Settings) -> dict[str, Any]:
    """In the child: the plays sink alone, from where it begins to read to where it has committed the last record."""
    pool = Pool(settings)
    migrate.migrate(pool.base, settings.database, migrate.load())
    sinks = Sinks(settings, pool)
    sink = sinks._sink("plays", topics_of(settings).plays, PlaysReader(settings.rules.fingerprint))
    progress = sink.progress
    thread = threading.Thread(target=sink.run)
    thread.start()
    progress.consuming.wait(SECONDS)  # a new broker takes seconds to say what was committed
    before, began, deadline = time.process_time(), time.monotonic(), time.monotonic() + SECONDS
    while progress.lag:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError(f"the sink stopped {progress.lag} records before the end: {progress.trouble}")
        time.sleep(0.005)
    seconds, cpu = time.monotonic() - began, time.process_time() - before
    sinks.stop()
    thread.join()
    written = dict(progress.written)
    pool.close()
    return _result(written["plays"] + written.get("duplicates", 0), seconds, cpu)


def _in_memory(settings: Settings, rounds: int) -> dict[str, Any]:
    """In the child. Processor time includes half a second of the engine's merges behind the last insert."""
    records = list(plays_records(EVENTS, "rules"))
    best: dict[str, Any] = {}
    for _ in range(rounds):
        shutil.rmtree(settings.store_dir, ignore_errors=True)
        pool = Pool(settings)
        migrate.migrate(pool.base, settings.database, migrate.load())
        writer = ClickHouseWriter(pool.writer(), settings.database)
        before, began, rows = time.process_time(), time.monotonic(), 0
        for pending in _pendings(records):
            for table, part in pending.inserts():
                writer.write(table, part)
                rows += part.num_rows if table != "batches" else 0
        seconds = time.monotonic() - began
        time.sleep(0.5)
        found = _result(rows, seconds, time.process_time() - before)
        pool.close()
        if not best or found["cpu_us"] < best["cpu_us"]:
            best = found
    return best


def _pendings(records: list[Record]) -> Iterator[Pending]:
    reader, pending = PlaysReader("rules"), Pending()
    for record in records:
        pending.add(record.partition, record.offset + 1, reader.read(record) or [], 0.0)
        if not pending.due_in(0.0):
            yield pending
            pending = Pending()
    yield pending


def _result(rows: int, seconds: float, cpu: float) -> dict[str, Any]:
    found = memory_mb(os.getpid())
    assert found is not None
    return {
        "rows": rows,
        "rows_per_second": round(rows / seconds),
        "cpu_us": round(cpu / rows * 1e6, 3),
        "peak_mb": found[1],
    }


def _publish(settings: Settings) -> None:
    ensure_topics(settings)
    producer = Producer({"bootstrap.servers": settings.bootstrap, "compression.type": "lz4", "message.max.bytes": 8 << 20})
    topic = topics_of(settings).plays.name
    for record in plays_records(EVENTS, settings.rules.fingerprint):
        headers: Any = record.headers
        producer.produce(topic, record.value, partition=record.partition, headers=headers)
    if producer.flush(60):
        raise RuntimeError("the broker did not take the plays")


def main(arguments: list[str]) -> int:
    if arguments:
        print(json.dumps(_backlog(load()) if arguments[0] == "backlog" else _in_memory(load(), int(arguments[1]))))
        return 0
    print("memory", json.dumps(in_memory()), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        kafka, controller = free_ports(2)
        settings = load(data_dir=Path(folder), kafka_port=kafka, kafka_controller_port=controller)
        with running_broker(settings):
            _publish(settings)
            print("backlog", json.dumps(sink_rate(settings)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
