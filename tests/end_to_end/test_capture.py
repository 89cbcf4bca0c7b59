"""A run captured to files and replayed into another: the same log at the same places, and the same results from it."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from deploy.embedded.ports import free_ports
from pipeline.admin import ensure_topics
from pipeline.errors import Exit, RefusedError
from pipeline.settings import Settings, load
from pipeline.store.ask import rows
from pipeline.topics import topics_of
from pipeline.verify.verify import verify
from producers.capture.capture import Range, capture
from producers.capture.files import PartitionFile
from producers.capture.manifest import load_manifest
from producers.capture.replay import Replayed, replay, replaying
from producers.produce import produce
from producers.replay.target import Target
from producers.scenarios.model import Scenario
from tests.conftest import new_run, settings_env
from tests.end_to_end.processes import listening, processes
from tests.end_to_end.source_logs import SECONDS, end_of, now_ms, odd_records, play, put, ticks

ROOT = Path(__file__).parents[2]
SCENARIO = Scenario(
    events=8_000, minutes=80, artists=300, users=3_000, release={"at": "minute 30"}, seed=7,
    duplicates={"client_double_send": 0.05},
)  # fmt: skip
_names = count(1)

Row = tuple[Any, ...]
"""(partition, offset, broker time, key, value, headers)."""


def rows_of(settings: Settings) -> list[Row]:
    """Everything in playback-events, read by a plain consumer."""
    topic = topics_of(settings).events.name
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "tests", "auto.offset.reset": "error"})
    found: list[Row] = []
    try:
        places = [TopicPartition(topic, partition, 0) for partition in range(settings.partitions)]
        deadline = time.monotonic() + SECONDS
        left = sum(end_of(consumer, place, deadline) for place in places)
        consumer.assign(places)
        while len(found) < left:
            assert time.monotonic() < deadline
            for message in consumer.consume(5_000, 0.2):
                assert message.error() is None, message.error()
                at, headers = message.timestamp()[1], tuple(message.headers() or ())
                found.append((message.partition(), message.offset(), at, message.key(), message.value(), headers))
    finally:
        consumer.close()
    return sorted(found, key=lambda row: row[:2])


async def _fetched(settings: Settings, partition: int, offset: int) -> bytes:
    """Record batches from the one of this offset on, as the broker has them, up to a megabyte."""
    client = AIOKafkaClient(bootstrap_servers=settings.bootstrap)
    try:
        await client.bootstrap()
        topics = [(topics_of(settings).events.name, [(partition, offset, 1 << 20)])]
        answer = await client.send(client.get_random_node(), FetchRequest(100, 1, 1 << 20, 0, topics))
        [(_topic, [(_partition, error, *_places, batches)])] = answer.topics
        assert error == 0, answer
        return bytes(batches)
    finally:
        await client.close()


def batches_of(settings: Settings, partition: int) -> list[list[bytes | None]]:
    """The values of the partition's first megabyte by record batch."""
    read, found = MemoryRecords(asyncio.run(_fetched(settings, partition, 0))), list[list[bytes | None]]()
    while (batch := read.next_batch()) is not None:
        found.append([record.value for record in batch])
    return found


@dataclass(frozen=True)
class Source:
    """A finished run, its log, and its capture."""

    settings: Settings
    log: list[Row]
    folder: Path


@pytest.fixture(scope="module")
def source(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A scenario with duplicates, between records of every odd kind, and ticks; captured."""
    settings = load(
        run=new_run(),
        kafka_bootstrap=broker,
        data_dir=tmp_path_factory.mktemp("capture"),
        store_port=free_ports(1)[0],
        session_seconds=6,
    )
    ensure_topics(settings)
    produce(settings, SCENARIO)
    put(
        settings,
        *odd_records(settings),
        *ticks(settings, now_ms() - 500),
        *odd_records(settings),
        *ticks(settings, now_ms()),
    )
    folder = settings.data_dir / "captures" / "first"
    capture(settings, folder, Range())
    return Source(settings, rows_of(settings), folder)


def fresh(old: Settings) -> Settings:
    return replaying(old, f"{old.run}-again-{next(_names)}", old.partitions)


def replayed(source: Source, new: Settings, speed: float | None = None) -> Replayed:
    return replay(source.folder, load_manifest(source.folder), new, speed)


def test_the_files_hold_the_log_as_a_plain_consumer_reads_it_and_the_manifest_says_what_they_hold(source: Source) -> None:
    manifest = load_manifest(source.folder)
    table = pl.concat(pl.read_parquet(source.folder / entry.file) for entry in manifest.captured)
    assert [
        (row["partition"], row["offset"], row["at"], row["key"], row["value"], headers_of(row))
        for row in table.with_columns(at=pl.col("appended_at").dt.epoch("ms")).to_dicts()
    ] == source.log
    assert (manifest.run, manifest.append_time, manifest.partitions) == (source.settings.run, True, 4)
    for entry in manifest.captured:
        log = [row for row in source.log if row[0] == entry.partition]
        assert (entry.start, entry.end, entry.records) == (0, len(log), len(log))
        assert (entry.first_appended_at, entry.last_appended_at) == (log[0][2], log[-1][2])
        valid = [row for row in log if row[4] is None and dict(row[5]).get("listening-tick", b"").isdigit()]
        assert entry.ticks == len(valid) >= 480
    assert sorted(path.name for path in source.folder.parent.iterdir()) == ["first"]


def headers_of(row: dict[str, Any]) -> tuple[tuple[str, bytes | None], ...]:
    return tuple((pair["name"], pair["value"]) for pair in row["headers"])


def results(settings: Settings) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, int]]:
    """Final tops and outcomes in the run's own store, found exact; and how many outcomes there are of each kind."""
    with processes(settings) as run:
        for name in ("store", "rank", "classify"):
            run.start(name)
        verdict = verify(settings, timeout=SECONDS, show_progress=False)
        assert verdict.exact, json.dumps(verdict.as_json(), indent=1)[:4000]
        finals = rows(
            settings,
            "SELECT window_end, shard, rank, artist_id, plays FROM top_artists FINAL WHERE final "
            "ORDER BY window_end, shard, rank LIMIT 500000",
        )
        outcomes = rows(
            settings,
            "SELECT source_partition, source_offset, outcome FROM plays FINAL ORDER BY source_partition, source_offset",
        )
    return finals, outcomes, {str(outcome): number for outcome, number in verdict.outcomes.items()}


def test_a_replay_at_once_is_the_same_log_at_the_same_places_and_gives_the_same_results_to_the_last_row(
    source: Source,
) -> None:
    new = fresh(source.settings)
    done = replayed(source, new)
    assert rows_of(new) == source.log
    assert (done.records, done.compared, done.moved, done.without_headers) == (len(source.log), 0, 0, 0)
    # The worker's columns take a batch of events, and a batch of ticks: a mixed one goes record by record.
    batches = [batch for batch in batches_of(new, 0)[:400] if None in batch]  # of the scenario: poison comes behind it
    assert len(batches) > 50
    assert all(set(batch) == {None} for batch in batches)
    finals, outcomes, kinds = results(source.settings)
    assert results(new) == (finals, outcomes, kinds)
    assert len({row["window_end"] for row in finals}) > 100
    assert all(kinds[kind] > 20 for kind in ("duplicate", "invalid", "late", "skipped")), kinds


def test_a_second_replay_into_the_same_run_compares_everything_and_writes_nothing(source: Source) -> None:
    new = fresh(source.settings)
    replayed(source, new)
    again = replayed(source, new)
    assert (again.records, again.compared) == (0, len(source.log))
    assert rows_of(new) == source.log


_DYING = """
import os, signal, sys
from pathlib import Path
from pipeline.settings import load
from producers.capture.manifest import load_manifest
from producers.capture.replay import replay, replaying
from producers.replay import target

target._PROPERTIES["linger.ms"] = 100
folder, where, number, blow, run = sys.argv[1:]
calls, method = 0, getattr(target.Target, where)

def counted(self, *arguments, **named):
    global calls
    calls += 1
    if calls == int(number):
        os.kill(os.getpid(), getattr(signal, blow))
    return method(self, *arguments, **named)

setattr(target.Target, where, counted)
manifest = load_manifest(Path(folder))
replay(Path(folder), manifest, replaying(load(), run, manifest.partitions), None)
"""


def dying(
    source: Source, new: Settings, where: str, number: int, blow: str = "SIGKILL"
) -> "subprocess.CompletedProcess[str]":
    """A replay in a process that ends itself at the n-th call of a step."""
    return subprocess.run(
        [sys.executable, "-c", _DYING, str(source.folder), where, str(number), blow, new.run],
        env=settings_env(source.settings), cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "blows",
    [[("put", 1)], [("put", 4_321), ("put", 7_000)], [("_flush", 300), ("_flush", 301)], [("end", 1)]],
    ids=["at_the_start", "between_records", "between_ticks_and_events", "at_the_end"],
)
def test_a_replay_killed_half_way_and_taken_up_again_equals_an_undisturbed_one(
    source: Source, blows: list[tuple[str, int]]
) -> None:
    new = fresh(source.settings)
    for where, number in blows:
        died = dying(source, new, where, number)
        assert died.returncode == -signal.SIGKILL, died.stderr
    before = len(rows_of(new))
    done = replayed(source, new)
    assert rows_of(new) == source.log
    # What was on its way when the last one died may come to lie there after it was counted.
    assert done.compared >= before
    assert done.compared + done.records == len(source.log)
    assert before > 0 or blows == [("put", 1)]


def test_ctrl_c_is_one_sentence_and_the_same_command_goes_on(source: Source) -> None:
    new = fresh(source.settings)
    stopped = dying(source, new, "put", 5_000, "SIGINT")
    assert "ListeningError: Interrupted" in stopped.stderr
    assert replayed(source, new).compared > 0
    assert rows_of(new) == source.log


def test_a_run_that_holds_something_else_is_refused_and_left_as_it_is(source: Source) -> None:
    longer, other, live = (fresh(source.settings) for _ in range(3))
    replayed(source, longer)
    put(longer, (1, b"a stranger's", b"a stranger's", []))
    ensure_topics(other)
    put(other, (1, b"a stranger's", b"a stranger's", []))
    ensure_topics(live.model_copy(update={"append_time": True}))
    eight = replaying(source.settings, f"{source.settings.run}-eight", 8)
    ensure_topics(eight)
    refusals: list[tuple[Settings, Settings, str]] = [
        (longer, longer, "aren't only a part of the capture's"),
        (other, other, f"something else at offset 0.*listening delete {other.run} --yes`, then replay again"),
        (live, live, "name a new one with --to.*message.timestamp.type=LogAppendTime"),
        (eight.model_copy(update={"partitions": 4}), eight, "has 8 partitions and the capture has 4"),
    ]
    for new, actual, sentence in refusals:
        before = rows_of(actual)
        with pytest.raises(RefusedError, match=sentence):
            replayed(source, new)
        if new is not other:  # the other partitions may have been begun
            assert rows_of(actual) == before


def test_a_second_replay_into_the_same_run_at_the_same_time_is_refused(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, met = fresh(source.settings), []
    original: Callable[..., int] = Target.put

    def met_by_another(target: Target, partition: int, record: Any, *, apart: bool = False) -> int:
        if not met:
            met.append(True)
            with pytest.raises(RefusedError, match="Another `listening replay` is copying into run"):
                replayed(source, new)
        return original(target, partition, record, apart=apart)

    monkeypatch.setattr(Target, "put", met_by_another)
    replayed(source, new)
    assert met
    assert rows_of(new) == source.log


@pytest.fixture
def paced(settings: Settings) -> Source:
    """Thirty seconds by its records' own time, a record each 20 ms over four partitions, with a second's pause in it."""
    dated = load(**(settings.model_dump() | {"append_time": False}))
    ensure_topics(dated)
    # Idempotent, or a retry right after the topic was made would change the order, and with it the pace.
    producer, began = Producer({"bootstrap.servers": dated.bootstrap, "enable.idempotence": True}), now_ms() - 100_000
    times = [*range(0, 14_000, 20), *range(15_000, 30_001, 20)]
    for number, at in enumerate(times):
        key, value = play(number % 50 + 1, began)
        producer.produce(topics_of(dated).events.name, value, key, number % 4, timestamp=began + at)
    assert producer.flush(SECONDS) == 0
    folder, log = dated.data_dir / "paced", rows_of(dated)
    assert sorted(log, key=lambda row: row[2]) == sorted(log, key=lambda row: (row[1], row[0]))
    capture(dated, folder, Range())
    return Source(dated, log, folder)


class Clock:
    """A replay's clock that only its own waiting moves: what it does takes no time, however busy the machine is."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        self.put_at: list[tuple[int, float]] = []
        """(broker time, seconds on this clock) of each record as it is written."""
        serve, produce = Target.serve, Target._produce

        def served(target: Target, seconds: float) -> None:
            assert seconds > 0
            serve(target, 0)
            self.now += seconds

        def produced(target: Target, producer: Any, partition: int, record: Any) -> None:
            self.put_at.append((record.appended_at, self.now))
            produce(target, producer, partition, record)

        patch.setattr(Target, "serve", served)
        patch.setattr(Target, "_produce", produced)
        patch.setattr("producers.capture.replay.time", self)

    def monotonic(self) -> float:
        return self.now


def distances(put_at: list[tuple[int, float]], speed: float) -> list[float]:
    """Of each record, how much later than at its place in time it was written, seconds; the first is at its own."""
    (first, began), *_ = put_at
    return [seconds - began - (at - first) / 1000 / speed for at, seconds in put_at]


def test_a_replay_at_ten_times_the_pace_takes_a_tenth_of_the_time_and_keeps_the_gaps_by_the_clock_it_goes_by(
    paced: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, clock = fresh(paced.settings), Clock(monkeypatch)
    done = replayed(paced, new, speed=10)
    assert done.planned_seconds == pytest.approx(3.0)
    assert done.seconds == pytest.approx(3.0)
    assert done.rate_error == pytest.approx(0, abs=1e-6)
    assert [at for at, _seconds in clock.put_at] == sorted(row[2] for row in paced.log)
    assert distances(clock.put_at, 10) == pytest.approx([0] * len(paced.log), abs=1e-6)
    assert rows_of(new) == paced.log


def test_in_real_time_no_record_is_written_before_its_time(paced: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """How soon after it is the machine's affair: `make drill-pace` measures it."""
    new, connect, produce = fresh(paced.settings), Target.connect, Target._produce
    began: list[float] = []
    put_at: list[tuple[int, float]] = []

    def connected(target: Target) -> None:
        connect(target)
        began.append(time.monotonic())

    def produced(target: Target, producer: Any, partition: int, record: Any) -> None:
        put_at.append((record.appended_at, time.monotonic()))
        produce(target, producer, partition, record)

    monkeypatch.setattr(Target, "connect", connected)
    monkeypatch.setattr(Target, "_produce", produced)
    done = replayed(paced, new, speed=20)
    assert done.planned_seconds == pytest.approx(1.5)
    assert done.rate_error is not None
    assert done.rate_error >= 0
    first = paced.log[0][2]
    assert len(put_at) == len(paced.log)
    assert all(seconds >= began[0] + (at - first) / 1000 / 20 - 1e-6 for at, seconds in put_at)
    assert rows_of(new) == paced.log


def test_a_paced_replay_that_was_killed_passes_over_what_lies_there_without_waiting(
    paced: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = fresh(paced.settings)
    stop, original = count(1), Target.put

    def ends(target: Target, partition: int, record: Any, *, apart: bool = False) -> int:
        if next(stop) == 1_200:
            target.flush()
            raise RuntimeError("as if killed")
        return original(target, partition, record, apart=apart)

    monkeypatch.setattr(Target, "put", ends)
    with pytest.raises(RuntimeError, match="as if killed"):
        replayed(paced, new)
    monkeypatch.undo()
    clock = Clock(monkeypatch)
    done = replayed(paced, new, speed=10)
    assert (done.compared, done.records) == (1_199, len(paced.log) - 1_199)
    left = sorted(row[2] for row in paced.log)[1_199:]
    assert [at for at, _seconds in clock.put_at] == left
    assert distances(clock.put_at, 10) == pytest.approx([0] * len(left), abs=1e-6)
    assert clock.now - 1_000 == pytest.approx((left[-1] - left[0]) / 10_000), "no time for the others"
    assert [done.seconds, done.planned_seconds] == pytest.approx([(left[-1] - left[0]) / 10_000] * 2)
    assert rows_of(new) == paced.log


def test_a_range_of_one_partition_is_captured_and_replayed_under_its_own_number(source: Source) -> None:
    folder = source.folder.parent / "range"
    manifest = capture(source.settings, folder, Range(2, 100, 150))
    assert [(entry.partition, entry.start, entry.end, entry.records) for entry in manifest.captured] == [(2, 100, 150, 50)]
    new = fresh(source.settings)
    done = replay(folder, load_manifest(folder), new, None)
    wanted = [row for row in source.log if row[0] == 2][100:150]
    assert rows_of(new) == [(2, offset, *row[2:]) for offset, row in enumerate(wanted)]
    assert done.moved == 50


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (Range(4), "--partition must be 0 to 3"),
        (Range(1, 0, 10**9), "is no range within them"),
        (Range(1, 5, 4), "--from 5 --to 4 is no range"),
    ],
)
def test_a_range_that_is_not_there_is_refused_and_nothing_is_made(source: Source, wanted: Range, sentence: str) -> None:
    folder = source.folder.parent / "nothing"
    with pytest.raises(RefusedError, match=sentence):
        capture(source.settings, folder, wanted)
    assert [path.name for path in source.folder.parent.iterdir() if "nothing" in path.name] == []


def test_a_log_without_its_beginning_is_captured_from_where_it_begins(settings: Settings) -> None:
    ensure_topics(settings)
    put(settings, *((2, *play(1, now_ms()), []) for _ in range(5)))
    client = AdminClient({"bootstrap.servers": settings.bootstrap})
    for future in client.delete_records([TopicPartition(topics_of(settings).events.name, 2, 3)]).values():
        future.result(SECONDS)
    manifest = capture(settings, settings.data_dir / "cut", Range())
    assert [(entry.start, entry.end) for entry in manifest.captured] == [(0, 0), (0, 0), (3, 5), (0, 0)]


def test_a_folder_with_content_is_refused_and_left_what_a_killed_capture_left_is_replaced(source: Source) -> None:
    folder = source.folder.parent / "kept"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(RefusedError, match="is there already"):
        capture(source.settings, folder, Range())
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    (folder / "mine.txt").unlink()
    unfinished = folder.with_name("kept.unfinished")
    unfinished.mkdir()
    (unfinished / "mine.txt").write_text("mine")
    with pytest.raises(RefusedError, match=r"holds mine\.txt, which is no capture's"):
        capture(source.settings, folder, Range())
    (unfinished / "mine.txt").unlink()
    (unfinished / "partition-003.parquet").write_bytes(b"half of it")
    capture(source.settings, folder, Range(0))
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "partition-000.parquet"]
    assert not unfinished.exists()


_CAPTURE_DYING = """
import os, signal, sys
from pathlib import Path
from pipeline.settings import load
from producers.capture import files
from producers.capture.capture import Range, capture

folder, number, blow, run = sys.argv[1:]
calls, method = 0, files.PartitionFile.add

def counted(self, record):
    global calls
    calls += 1
    if calls == int(number):
        os.kill(os.getpid(), getattr(signal, blow))
    method(self, record)

files.PartitionFile.add = counted
capture(load(run=run), Path(folder), Range())
"""


@pytest.mark.parametrize("blow", ["SIGKILL", "SIGINT"])
def test_a_capture_ended_half_way_leaves_no_folder_and_the_same_command_makes_the_same_files(
    source: Source, blow: str
) -> None:
    folder = source.folder.parent / f"ended-{blow.lower()}"
    ended = subprocess.run(
        [sys.executable, "-c", _CAPTURE_DYING, str(folder), "3000", blow, source.settings.run],
        env=settings_env(source.settings), cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert ended.returncode == (-signal.SIGKILL if blow == "SIGKILL" else 1), ended.stderr
    assert blow == "SIGKILL" or "ListeningError: Interrupted, and nothing is in" in ended.stderr
    assert folder.with_name(f"{folder.name}.unfinished").exists()
    assert not folder.exists()
    capture(source.settings, folder, Range())
    for path in source.folder.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()


def test_a_second_capture_into_the_same_folder_at_the_same_time_is_refused(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, met = source.folder.parent / "once", []
    original = PartitionFile.add

    def met_by_another(file: PartitionFile, record: Any) -> None:
        if not met:
            met.append(True)
            with pytest.raises(RefusedError, match="Another `listening capture` is writing"):
                capture(source.settings, folder, Range())
        original(file, record)

    monkeypatch.setattr(PartitionFile, "add", met_by_another)
    assert capture(source.settings, folder, Range()).records == len(source.log)
    assert met


def test_a_capture_that_was_changed_is_refused_before_or_while_it_is_replayed(source: Source) -> None:
    folder, new = source.folder.parent / "changed", fresh(source.settings)
    with pytest.raises(RefusedError, match="is no capture"):
        load_manifest(folder)
    capture(source.settings, folder, Range(0))
    manifest, text = load_manifest(folder), (folder / "manifest.json").read_text()
    (folder / "partition-000.parquet").unlink()
    with pytest.raises(RefusedError, match=r"partition-000\.parquet is damaged"):
        replay(folder, manifest, new, None)
    for changed in (
        text[:-5],
        "[]",
        text.replace("capture-1", "capture-2"),
        text.replace('"partition": 0', '"partition": 4'),
    ):
        (folder / "manifest.json").write_text(changed)
        with pytest.raises(RefusedError, match="capture again"):
            load_manifest(folder)


def test_the_commands_say_what_they_did_and_how_to_look_at_the_new_run(source: Source) -> None:
    settings, folder, run = source.settings, source.folder.parent / "told", f"{source.settings.run}-told"
    told = listening(settings, "capture", "--run", settings.run, "--out", str(folder), "--json")
    assert told.returncode == Exit.OK, told.stderr
    assert json.loads(told.stdout)["records"] == len(source.log)
    shown = listening(settings, "replay", str(folder), "--to", run, "--at-once")
    assert shown.returncode == Exit.OK, shown.stderr
    assert f"{len(source.log):,} records of {settings.run}" in shown.stdout
    assert f"LISTENING_PARTITIONS=4 LISTENING_APPEND_TIME=false listening verify --run {run}" in shown.stdout
    again = listening(settings, "replay", str(folder), "--to", run, "--speed", "1000", "--json")
    result = json.loads(again.stdout)
    assert (result["records"], result["compared"], result["rate_error"]) == (0, len(source.log), None)
    for arguments, code, part in (
        (("capture", "--run", settings.run, "--out", str(folder)), Exit.STAY_DOWN, "is there already"),
        (("capture", "--run", settings.run, "--out", "x", "--from", "1"), Exit.USAGE, "name it with --partition"),
        (("replay", str(folder), "--to", "no-run", "--at-once", "--speed", "2"), Exit.USAGE, "give one of them"),
        (("replay", str(folder), "--to", "no-run", "--speed", "0"), Exit.USAGE, "more than 0"),
        (("replay", str(folder), "--to", "No Run", "--at-once"), Exit.STAY_DOWN, "LISTENING_RUN='No Run'"),
    ):
        refused = listening(settings, *arguments)
        assert refused.returncode == code, refused.stderr
        assert part in " ".join(refused.stderr.replace("│", " ").split())
        assert "Traceback" not in refused.stderr
