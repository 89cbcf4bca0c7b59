"""The store process on a real broker and the real engine, fed with records made by hand."""

import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from pipeline.admin import ensure_topics
from pipeline.errors import UnavailableError
from pipeline.settings import Settings, load
from pipeline.store import ask, migrate
from pipeline.store.client import Pool
from pipeline.store.queries import outcome_totals, top
from pipeline.store.readers import ArtistsReader
from pipeline.store.refusals import NotNowError
from pipeline.store.sink import Sink
from pipeline.store.trouble import Troubles
from pipeline.store.writer import MemoryWriter
from pipeline.topics import group_of, topics_of
from tests.conftest import settings_env
from tests.unit.store.made import T0, Made, artist, counts, event_id, headers, play, plays
from tests.unit.store.made import top as top_record

ROOT = Path(__file__).parents[2]
SECONDS = 120
TABLES = {
    "plays": "source_partition, source_offset",
    "duplicates": "source_partition, source_offset",
    "batches": "source_partition, first_offset",
    "artist_counts": "pane, artist_id, source_partition",
    "count_positions": "source_partition, shard",
    "top_artists": "window_end, shard, rank",
    "artists": "artist_id",
}
DYING = """
import os, signal
from pipeline.store import sinks
from pipeline.store.writer import ClickHouseWriter
class Dying(ClickHouseWriter):
    def write(self, table, rows):
        super().write(table, rows)
        if table == {table!r}:
            os.kill(os.getpid(), signal.SIGKILL)
sinks.Sinks.__init__.__defaults__ = (Dying,)
from pipeline.store.serve import main
raise SystemExit(main())
"""
"""The store, but killed after the first insert into a table: before the commit."""


def send(settings: Settings, topic: str, partition: int, made: list[Made]) -> None:
    # Idempotent: without it a retried first request lands behind the second, and the records aren't where they say.
    producer = Producer({"bootstrap.servers": settings.bootstrap, "enable.idempotence": True, "linger.ms": 5})
    failures: list[Any] = []
    for number, (head, value) in enumerate(made):
        producer.produce(
            topic,
            value=value,
            key=str(number).encode(),  # `artists` is compacted, and takes no record without one
            headers=head,
            partition=partition,
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
    assert producer.flush(SECONDS) == 0
    assert not failures


def feed(settings: Settings) -> None:
    """Two partitions of plays with a rogue record between them, counts, lists and names."""
    topics, rules = topics_of(settings), settings.rules.fingerprint
    for partition in range(settings.partitions):
        rows = [play(n, event_id=uuid.uuid5(event_id(n), str(partition)).bytes) for n in range(6)]
        rows[3] = play(3, "duplicate", event_id=rows[0]["event_id"], first_offset=0)
        rows[4] = play(4, "invalid")
        made = [
            plays(0, rows[:3], rules),
            plays(0, rows[:3], rules),  # lies at 1: a zombie's
            plays(2, rows[3:], rules, ticks=1, watermark=T0 + 100_000),
            (headers(at=3), b"rubbish"),
        ]
        send(settings, topics.plays.name, partition, made)
        announced = counts(partition, [(T0, n + 1, n + 2) for n in range(4)], counted=5, watermark=T0 + 100_000, rules=rules)
        send(settings, topics.counts.name, 0, [announced, (headers(partition="?"), b"")])
    send(settings, topics.tops.name, 0, [top_record(T0 + 10_000, 0, [(4, 10), (3, 8)], final=True, counted=10)])
    send(settings, topics.artists.name, 0, [([], artist(4, "The Fours")), ([], b"\1rubbish")])


@contextmanager
def store(settings: Settings, script: str | None = None) -> Iterator["subprocess.Popen[str]"]:
    """The store as `listening up` starts it; ended whatever happens."""
    arguments = ["-m", "pipeline.store"] if script is None else ["-c", script]
    process = subprocess.Popen(
        [sys.executable, *arguments], env=settings_env(settings), cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
        assert process.stderr
        process.stderr.close()


def said(process: "subprocess.Popen[str]") -> str:
    """All that an ended process wrote on stderr."""
    assert process.stderr
    return process.stderr.read()


def wait_until(true: Callable[[], bool], process: "subprocess.Popen[str] | None" = None) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert process is None or process.poll() is None, said(process)
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_ready(settings: Settings) -> bool:
    try:
        return bool(ask.ready(settings)["status"] == "ready")
    except UnavailableError:
        return False


def until_sunk(settings: Settings, process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Wait until the store is ready and behind nowhere; what it says of itself then."""
    wait_until(lambda: is_ready(settings), process)
    wait_until(lambda: sum(topic["lag"] for topic in ask.ready(settings)["topics"].values()) == 0, process)
    return ask.ready(settings)


def contents(settings: Settings) -> dict[str, pa.Table]:
    return {table: ask.sql(settings, f"SELECT * FROM {table} FINAL ORDER BY {order}") for table, order in TABLES.items()}


def committed(settings: Settings, topic: str, partition: int = 0) -> tuple[int, str]:
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": group_of(settings, "sink")})
    (found,) = consumer.committed([TopicPartition(topic, partition)], timeout=SECONDS)
    consumer.close()
    return found.offset, found.metadata


def commit(settings: Settings, topic: str, partition: int, offset: int, metadata: str) -> None:
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": group_of(settings, "sink")})
    consumer.commit(offsets=[TopicPartition(topic, partition, offset, metadata)], asynchronous=False)
    consumer.close()


def varied(settings: Settings, **changes: Any) -> Settings:
    """Built anew: a copy by pydantic would keep the rules that the original has cached."""
    return load(**(settings.model_dump() | changes))


@pytest.fixture
def run(settings: Settings) -> Settings:
    """A run of two partitions with its topics made."""
    run = varied(settings, partitions=2)
    ensure_topics(run)
    return run


def test_what_the_topics_say_is_stored_and_rogue_records_are_not(run: Settings) -> None:
    feed(run)
    with store(run) as process:
        told = until_sunk(run, process)
        assert {kind: topic["ignored"] for kind, topic in told["topics"].items()} == {
            "plays": 4,
            "artist-counts": 2,
            "top-artists": 0,
            "artists": 1,
        }
        assert (run.run_dir / "ready" / "store").read_text() == str(process.pid)
        assert outcome_totals(run) == {
            "records": 12,
            "ticks": 2,
            "absent": 0,
            "accepted": 8,
            "duplicates": 2,
            "late": 0,
            "skipped": 0,
            "suspect": 0,
            "invalid": 2,
        }
        ids = ask.sql(
            run, "SELECT source_partition AS p, toString(event_id) AS id FROM plays WHERE source_offset = 5 ORDER BY p"
        )
        assert ids.column("id").to_pylist() == [str(uuid.uuid5(event_id(5), str(partition))) for partition in range(2)]
        answer = top(run, 2, 60, T0 + 30_000)
        assert [(row.artist_id, row.name, row.plays) for row in answer.rows] == [(4, "The Fours", 10), (3, None, 8)]
        assert answer.final
        assert committed(run, topics_of(run).plays.name) == (4, "7")
        process.terminate()
        assert process.wait(SECONDS) == 0
    assert not (run.run_dir / "ready" / "store").exists()


def test_records_sunk_again_leave_equal_tables_whether_the_commits_or_the_store_were_lost(run: Settings) -> None:
    feed(run)
    with store(run) as process:
        until_sunk(run, process)
        once = contents(run)
        process.terminate()
        assert process.wait(SECONDS) == 0
    for topic in (topics_of(run).plays, topics_of(run).counts, topics_of(run).tops, topics_of(run).artists):
        for partition in range(topic.partitions):
            commit(run, topic.name, partition, 0, "0")
    with store(run) as process:
        told = until_sunk(run, process)
        assert told["topics"]["plays"]["rows"] == 14, "everything was to be sunk again"
        assert contents(run) == once
    (run.run_dir / "store").rename(run.run_dir / "gone")
    with store(run) as process:
        until_sunk(run, process)
        assert contents(run) == once


def test_kills_between_insert_and_commit_change_nothing(run: Settings) -> None:
    feed(run)
    for table in ("plays", "batches"):
        with store(run, DYING.format(table=table)) as process:
            assert process.wait(SECONDS) == -signal.SIGKILL
        assert committed(run, topics_of(run).plays.name)[0] < 0, "the crash came too late to show anything"
    with store(run) as process:
        until_sunk(run, process)
        assert {name: rows.num_rows for name, rows in contents(run).items()} == {
            "plays": 8,
            "duplicates": 2,
            "batches": 4,
            "artist_counts": 8,
            "count_positions": 2,
            "top_artists": 2,
            "artists": 1,
        }
        assert outcome_totals(run)["accepted"] == 8


def test_a_gap_in_the_source_ranges_ends_the_process_with_78(run: Settings) -> None:
    topics, rules = topics_of(run), run.rules.fingerprint
    with store(run) as process:
        until_sunk(run, process)
        send(run, topics.plays.name, 1, [plays(0, [play(0)], rules), plays(1, [play(5)], rules)])
        assert process.wait(SECONDS) == 78
        assert "begins at source offset 5, expected was 1" in said(process)


def test_records_lost_to_retention_end_the_process_with_78(run: Settings) -> None:
    feed(run)
    topic = topics_of(run).counts.name
    admin = AdminClient({"bootstrap.servers": run.bootstrap})
    admin.delete_records([TopicPartition(topic, 0, 2)])[TopicPartition(topic, 0, 2)].result(SECONDS)
    with store(run) as process:
        assert process.wait(SECONDS) == 78
        assert "offsets 0 to 1 are lost" in said(process)


def test_a_second_store_of_a_run_is_refused_with_one_sentence(run: Settings) -> None:
    with store(run) as process:
        wait_until(lambda: is_ready(run), process)
        with store(run) as second:
            assert second.wait(SECONDS) == 78
            sentence = said(second)
        assert f"(pid {process.pid})" in sentence
        assert len(sentence.splitlines()) == 1
        assert is_ready(run)


class Refusing(MemoryWriter):
    """A store that is away for a while."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.left = times
        self.refused = threading.Event()

    def write(self, table: str, rows: pa.Table) -> None:
        if self.left:
            self.left -= 1
            self.refused.set()
            raise NotNowError("too many parts")
        super().write(table, rows)


def test_a_store_that_refuses_for_a_while_gets_everything_and_nothing_is_committed_before(run: Settings) -> None:
    topic, stop, writer = topics_of(run).artists, threading.Event(), Refusing(3)
    send(run, topic.name, 0, [([], artist(number, f"artist {number}")) for number in range(5)])
    sink = Sink(run, topic, ArtistsReader(), writer, lambda *_: True, stop, Troubles())
    thread = threading.Thread(target=sink.run)
    thread.start()
    try:
        assert writer.refused.wait(SECONDS)
        assert committed(run, topic.name)[0] < 0 or writer.left == 0
        wait_until(lambda: sink.progress.next.get(0) == 5)
    finally:
        stop.set()
        thread.join(SECONDS)
    assert [row["artist_id"] for part in writer.tables["artists"] for row in part.to_pylist()] == list(range(5))
    assert committed(run, topic.name)[0] == 5
    assert sink.progress.trouble == ""


def test_rows_that_the_store_will_never_take_end_the_process_with_70(run: Settings) -> None:
    pool = Pool(run)
    migrate.migrate(pool.base, run.database, migrate.load())
    pool.base.command("ALTER TABLE artists DROP COLUMN name")
    pool.close()
    send(run, topics_of(run).artists.name, 0, [([], artist(1, "One"))])
    with store(run) as process:
        assert process.wait(SECONDS) == 70
        assert "ClickHouse refuses rows for artists" in said(process)


def test_a_port_that_is_taken_is_named_with_the_remedy(run: Settings) -> None:
    with socket.socket() as other:
        other.bind((run.store_host, run.store_port))
        other.listen()
        with store(run) as process:
            assert process.wait(SECONDS) == 78
            assert "LISTENING_STORE_PORT" in said(process)
