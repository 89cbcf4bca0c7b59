"""Producers against a real broker: the ledger is the log, the log tells the time, and two clocks don't mix."""

import io
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import fastavro
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.serialization import MessageField, SerializationContext

import schemas
from pipeline.admin import ensure_topics
from pipeline.codec.events import decode
from pipeline.codec.headers import PlaysHeaders
from pipeline.settings import Settings, load
from pipeline.topics import topics_of
from producers.catalogue.artists import build_catalogue
from producers.ledger import read_ledger
from producers.produce import Produced, produce
from producers.publish.guard import ClockError, run_watermark
from producers.scenarios.model import Scenario
from tests.conftest import new_run, settings_env

SCENARIO = Scenario(
    events=6_000, minutes=5, release={"at": "minute 2.5"}, artists=300, users=2_000, seed=9,
    duplicates={"client_double_send": 0.05}, lateness={"late": 0.03},
)  # fmt: skip
WAIT_SECONDS = 120


@pytest.fixture(scope="module")
def run(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A run of which tests only read what the scenario left in it."""
    return load(run=new_run(), kafka_bootstrap=broker, data_dir=tmp_path_factory.mktemp("producers"))


@pytest.fixture(scope="module")
def produced(run: Settings) -> Produced:
    return produce(run, SCENARIO)


@pytest.fixture(scope="module")
def log(run: Settings, produced: Produced) -> list[list[Any]]:
    """Every message of playback-events, by partition and in order."""
    assert produced.closed
    return _read(run, topics_of(run).events.name, run.partitions)


def _read(settings: Settings, topic: str, partitions: int) -> list[list[Any]]:
    consumer = Consumer(
        {"bootstrap.servers": settings.bootstrap, "group.id": "tests", "auto.offset.reset": "error", "fetch.wait.max.ms": 10}
    )
    messages: list[list[Any]] = [[] for _ in range(partitions)]
    try:
        ends = [consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=WAIT_SECONDS)[1] for p in range(partitions)]
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
        deadline = time.monotonic() + WAIT_SECONDS
        while sum(map(len, messages)) < sum(ends):
            assert time.monotonic() < deadline
            for message in consumer.consume(1_000, 0.2):
                assert message.error() is None, message.error()
                messages[message.partition()].append(message)
    finally:
        consumer.close()
    return messages


def _tick(message: Any) -> int | None:
    headers = dict(message.headers() or ())
    return int(headers["listening-tick"]) if message.value() is None else None


def _murmur2(data: bytes) -> int:
    """Kafka's, written out from Utils.java, one key at a time."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    if rest := data[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def test_every_event_asked_for_is_published_and_acknowledged(produced: Produced) -> None:
    assert (produced.published, produced.acknowledged, produced.failed, produced.unknown) == (6_000, 6_000, 0, 0)
    assert produced.kinds == {"play": 5_580, "client_double_send": 300, "producer_retry": 120}
    assert produced.end - produced.start == 300_000
    assert produced.release == produced.start + 150_000
    assert produced.events_per_second > 0


def test_the_ledger_is_the_log(run: Settings, log: list[list[Any]]) -> None:
    events = {(m.partition(), m.offset()): decode(m.value()) for part in log for m in part if _tick(m) is None}
    rows = read_ledger(run).to_pylist()
    assert {(row["partition"], row["offset"]) for row in rows} == events.keys()
    assert len(rows) == len(events) == 6_000
    for row in rows:
        event = events[row["partition"], row["offset"]]
        assert row["status"] == "acknowledged"
        assert UUID(bytes=row["event_id"]) == event.event_id
        for name in ("user_id", "artist_id", "track_id", "ms_played", "played_at", "sent_at"):
            assert row[name] == getattr(event, name)


def test_a_key_is_the_user_and_lies_in_its_murmur2_partition(log: list[list[Any]]) -> None:
    for partition, messages in enumerate(log):
        for message in messages:
            if _tick(message) is None:
                assert message.key() == decode(message.value()).user_id.to_bytes(8, "big")
                assert (_murmur2(message.key()) & 0x7FFFFFFF) % len(log) == partition


def test_a_retry_is_the_same_record_again_right_behind(run: Settings, log: list[list[Any]]) -> None:
    retries = [row for row in read_ledger(run).to_pylist() if row["kind"] == "producer_retry"]
    for row in retries:
        original, again = log[row["partition"]][row["offset"] - 1 : row["offset"] + 1]
        assert (original.key(), original.value()) == (again.key(), again.value())


def test_a_tick_stands_between_what_was_sent_before_it_and_after(produced: Produced, log: list[list[Any]]) -> None:
    expected = [*range(produced.start + 10_000, produced.end + 1, 10_000), produced.end + 70_000]
    for messages in log:
        assert [tick for message in messages if (tick := _tick(message)) is not None] == expected
        clock = produced.start
        for message in messages:
            if (tick := _tick(message)) is not None:
                assert message.key() is None
                assert tick <= message.timestamp()[1]
                clock = tick
            else:
                assert clock <= decode(message.value()).sent_at < clock + 10_000


def test_a_stock_avro_deserializer_reads_the_log(log: list[list[Any]]) -> None:
    topic = log[0][0].topic()
    with _stock_deserializer() as deserialize:
        for messages in log:
            event = next(message for message in messages if message.value() is not None)
            decoded: Any = deserialize(event.value(), SerializationContext(topic, MessageField.VALUE))
            ours = decode(event.value())
            assert UUID(bytes=decoded["event_id"]) == ours.event_id
            assert round(decoded["played_at"].timestamp() * 1000) == ours.played_at
            assert [decoded[name] for name in ("user_id", "platform", "country")] == [
                ours.user_id,
                ours.platform,
                ours.country,
            ]


@contextmanager
def _stock_deserializer() -> Iterator[Any]:
    """Confluent's own, against the folder's schemas under the registry's own paths, as the store serves them."""
    pytest.importorskip("authlib", reason="confluent-kafka's schema registry client needs authlib and cachetools")
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroDeserializer

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield AvroDeserializer(SchemaRegistryClient({"url": f"http://127.0.0.1:{server.server_port}"}))
    finally:
        server.shutdown()
        server.server_close()


class _Registry(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        _, found, number = self.path.partition("?")[0].partition("/schemas/ids/")
        answer: dict[str, Any] = {"error_code": 404, "message": "HTTP 404 Not Found"}
        if found:
            answer = {"schema": schemas.schema_text(*schemas.registry()[int(number)])}
        body = json.dumps(answer).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing to say."""


def test_every_artist_has_its_name_in_the_topic(run: Settings, produced: Produced) -> None:
    topic = topics_of(run).artists.name
    [messages] = _read(run, topic, 1)
    schema = schemas.schema(schemas.ARTISTS_SUBJECT, 1)
    assert {message.value()[:5] for message in messages} == {b"\0\0\0\0\2"}
    rows: list[Any] = [fastavro.schemaless_reader(io.BytesIO(message.value()[5:]), schema, None) for message in messages]
    assert [int.from_bytes(message.key(), "big") for message in messages] == [row["artist_id"] for row in rows]
    catalogue = build_catalogue(SCENARIO.artists, SCENARIO.seed)
    assert {row["artist_id"]: row["name"] for row in rows} == dict(
        zip(catalogue.artist_ids.tolist(), catalogue.names, strict=True)
    )
    assert {"artist_id": produced.hit_artist_id, "name": produced.hit_artist} in rows


def test_a_second_produce_is_refused_and_names_both_clocks_and_both_remedies(
    run: Settings, produced: Produced, log: list[list[Any]]
) -> None:
    ledger = read_ledger(run)
    with pytest.raises(ClockError) as refused:
        produce(run, SCENARIO)
    sentence = str(refused.value)
    clock = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime((produced.end + 70_000) // 1000))
    for part in (run.run, clock, "would begin at", "--run NAME", "--realtime"):
        assert part in sentence
    assert [len(part) for part in _read(run, topics_of(run).events.name, run.partitions)] == [len(part) for part in log]
    assert read_ledger(run).equals(ledger)


def test_in_real_time_a_produce_goes_on_in_a_run_and_its_ticks_are_never_ahead(settings: Settings) -> None:
    ours = settings.model_dump(exclude={"pane_seconds", "grace_seconds"})
    quick = load(**ours, pane_seconds=1, grace_seconds=2)
    produce(quick, SCENARIO.model_copy(update={"events": 100, "minutes": 0.5, "release": None}))
    before = [len(part) for part in _read(quick, topics_of(quick).events.name, quick.partitions)]
    began = time.time_ns() // 1_000_000
    now = produce(quick, SCENARIO.model_copy(update={"events": 600}), rate=200, realtime=True)
    assert (now.acknowledged, now.closed) == (600, True)
    assert began <= now.start < now.end == now.start + 3_000
    assert now.release == now.start + 1_500
    for count, messages in zip(before, _read(quick, topics_of(quick).events.name, quick.partitions), strict=True):
        ticks = []
        for message in messages[count:]:
            appended = message.timestamp()[1]
            if (tick := _tick(message)) is not None:
                assert tick <= appended
                ticks.append(tick)
            else:
                assert decode(message.value()).sent_at <= appended
        assert ticks == list(range(ticks[0], ticks[-1] + 1, 1_000))
        assert now.start < ticks[0] <= now.start + 1_000
        # Final when end <= watermark - grace: also for the window that ends with the last pane.
        assert now.end <= ticks[-1] - 2_000


def test_a_rate_is_never_exceeded(settings: Settings) -> None:
    done = produce(settings, SCENARIO.model_copy(update={"events": 400, "minutes": 0.5, "release": None}), rate=400)
    assert done.seconds > 0.9


def test_the_runs_clock_is_read_from_valid_plays_too(settings: Settings) -> None:
    ensure_topics(settings)
    assert run_watermark(settings) == 0
    producer = Producer({"bootstrap.servers": settings.bootstrap})

    def plays(at: int, watermark: int) -> None:
        headers = PlaysHeaders(at, 0, 0, (1, 0, 0, 0, 0, 0), 0, 0, watermark, "").encode()
        producer.produce(topics_of(settings).plays.name, b"", partition=2, timestamp=watermark, headers=headers)
        assert producer.flush(WAIT_SECONDS) == 0

    plays(at=0, watermark=1_795_392_000_000)
    plays(at=7, watermark=1_895_392_000_000)  # lies at offset 1: a rogue's, which nobody heeds
    assert run_watermark(settings) == 1_795_392_000_000


def test_the_runs_clock_is_read_past_rubbish_and_capped_at_the_brokers(settings: Settings) -> None:
    ensure_topics(settings)
    producer = Producer({"bootstrap.servers": settings.bootstrap})
    topic, before = topics_of(settings).events.name, time.time_ns() // 1_000_000
    ahead = before + 10**9
    producer.produce(topic, None, partition=0, headers=[("listening-tick", b"%d" % ahead)])
    producer.produce(topic, None, partition=1, headers=[("listening-tick", b"soon")])
    producer.produce(topic, b"no event", partition=2)
    assert producer.flush(WAIT_SECONDS) == 0
    assert before <= run_watermark(settings) <= time.time_ns() // 1_000_000


_ENDLESS = """
from pipeline.settings import load
from producers.produce import produce
from producers.scenarios.model import Scenario
done = produce(load(), Scenario(events=60_000, minutes=2, release={"at": "minute 1"}, artists=50, users=2_000), rate=1_000)
print(done.interrupted, done.published, done.closed, flush=True)
"""


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_a_producer_that_is_stopped_midway_leaves_a_ledger_of_all_that_it_sent(settings: Settings, blow: int) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _ENDLESS],
        env=settings_env(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _wait_for_events(settings, 300, child)
        child.send_signal(blow)
        out, err = child.communicate(timeout=WAIT_SECONDS)
    finally:
        child.kill()
        child.wait()
    log = Counter(
        decode(message.value()).event_id.bytes
        for part in _read(settings, topics_of(settings).events.name, settings.partitions)
        for message in part
        if message.value() is not None
    )
    ledger: dict[str, Counter[bytes]] = defaultdict(Counter)
    for row in read_ledger(settings).to_pylist():
        ledger[row["status"]][row["event_id"]] += 1
    assert log <= ledger["acknowledged"] + ledger["unknown"]
    assert ledger["acknowledged"] <= log
    assert not ledger["failed"]
    if blow == signal.SIGINT:
        assert out.split() == ["True", str(log.total()), "False"], err
        assert log == ledger["acknowledged"]
        assert [path.suffix for path in settings.ledger_dir.iterdir()] == [".parquet"]


def _wait_for_events(settings: Settings, count: int, child: "subprocess.Popen[str]") -> None:
    """Until the log holds so many records, ticks included."""
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "tests", "log_level": 0})
    ensure_topics(settings)
    topic, deadline = topics_of(settings).events.name, time.monotonic() + WAIT_SECONDS
    try:
        while True:
            partitions = [TopicPartition(topic, partition) for partition in range(settings.partitions)]
            with suppress(KafkaException):  # a leader that has just been chosen doesn't know it yet
                if sum(consumer.get_watermark_offsets(partition, timeout=5)[1] for partition in partitions) >= count:
                    return
            assert time.monotonic() < deadline
            assert child.poll() is None, child.communicate()
            consumer.poll(0.05)
    finally:
        consumer.close()


def test_without_a_terminal_nothing_is_drawn(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    small = SCENARIO.model_copy(update={"events": 50, "minutes": 0.5, "release": None})
    produce(settings, small, show_progress=True)
    assert capfd.readouterr() == ("", "")
