"""Other people's producers: plain confluent-kafka and fastavro, any codec, headers, versions of the schema, ticks beside."""

import io
import json
import shutil
import struct
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fastavro
import pytest
import uvicorn
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from fastapi import FastAPI

import schemas
from deploy.embedded.ports import free_ports
from pipeline.admin import ensure_topics
from pipeline.errors import Exit
from pipeline.registry.http import serve_registry
from pipeline.settings import Settings, load
from pipeline.store.queries import newest_final
from pipeline.store.serve import Server
from pipeline.topics import topics_of
from tests.end_to_end.processes import SECONDS, listening, processes, wait_for
from tests.end_to_end.test_pipeline import classified, outcomes, verdict_of

V1 = schemas.schema(schemas.EVENTS_SUBJECT, 1)
OLDER = {**V1, "fields": [entry for entry in V1["fields"] if entry["name"] != "reason_end"]}
NEWER = {
    **V1,
    "fields": [
        *V1["fields"],
        {"name": "device", "type": ["null", "string"], "default": None},
        {"name": "volume", "type": "int", "default": 0},
    ],
}
STRINGS = {"type": "array", "items": "string"}
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def event(user: int, artist: int, played_at: int) -> dict[str, Any]:
    """A user's own idea of an event, with every field of every version."""
    return {
        "event_id": uuid.uuid4().bytes, "user_id": user, "artist_id": artist, "track_id": artist * 10, "album_id": 0,
        "played_at": played_at, "ms_played": 60_000, "track_ms": 90_000, "session_id": 1, "sequence": 0, "platform": "web",
        "service": "theirs", "country": "DE", "offline": False, "reason_end": "finished", "sent_at": played_at,
        "device": "radio", "volume": 11,
    }  # fmt: skip


def encoded(schema: dict[str, Any], schema_id: int, fields: dict[str, Any]) -> bytes:
    """As the README of any Avro tutorial does it."""
    out = io.BytesIO(struct.pack(">bI", 0, schema_id))
    out.seek(5)
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), fields)
    return out.getvalue()


def producer(settings: Settings, codec: str = "none") -> Producer:
    return Producer({"bootstrap.servers": settings.bootstrap, "partitioner": "murmur2", "compression.type": codec})


Headers = list[tuple[str, bytes]]


def send(settings: Settings, codec: str, values: list[tuple[int, bytes]], headers: Headers | None = None) -> None:
    """(user, value) pairs to the source topic, acknowledged."""
    client, topic = producer(settings, codec), topics_of(settings).events.name
    failed: list[Any] = []

    def answered(error: Any, _message: Any) -> None:
        if error is not None:
            failed.append(error)

    for user, value in values:
        client.produce(topic, key=struct.pack(">q", user), value=value, headers=headers, on_delivery=answered)
    assert client.flush(SECONDS) == 0
    assert failed == []


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def run(settings: Settings, tmp_path: Path) -> Settings:
    """A run with a schemas folder of its own and its topics made. A window outlasts a test: the newest final one holds all
    that was played since the test began."""
    folder = tmp_path / "schemas"
    shutil.copytree(schemas.FOLDER, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    changed = {"schemas_dir": folder, "window_seconds": 1_200, "grace_seconds": 2, "pane_seconds": 2}
    run = load(**(settings.model_dump() | changed))
    ensure_topics(run)
    return run


def added(settings: Settings, tmp_path: Path, document: dict[str, Any]) -> int:
    """The id that `listening schemas add` gives it."""
    file = tmp_path / f"{uuid.uuid4()}.avsc"
    file.write_text(json.dumps(document))
    answer = listening(settings, "schemas", "add", str(file), "--json")
    assert answer.returncode == Exit.OK, answer.stderr
    return int(json.loads(answer.stdout)["id"])


def test_every_codec_headers_and_three_versions_count_alike_and_ticks_close_the_windows(
    run: Settings, tmp_path: Path
) -> None:
    versions = [(V1, 1), (OLDER, added(run, tmp_path, OLDER)), (NEWER, added(run, tmp_path, NEWER))]
    base = now_ms()
    sent: Counter[int] = Counter()
    with processes(run) as running:
        for name in ("store", "rank", "classify"):
            running.start(name)
        for number, codec in enumerate(CODECS):
            for schema, schema_id in versions:
                events = [event(user, 100 + user % 7, base - 1000 - user) for user in range(1, 41)]
                sent.update(fields["artist_id"] for fields in events)
                values = [(fields["user_id"], encoded(schema, schema_id, fields)) for fields in events]
                send(run, codec, values, headers=[("trace", b"%d" % number)] if number % 2 else None)
        answer = listening(run, "tick", "--json")
        assert answer.returncode == Exit.OK, answer.stderr
        # Windows close when time has gone on by grace and pane, as a later tick says; nothing else is played.
        wait_for("a later tick", lambda: now_ms() > base + 5_000)
        assert listening(run, "tick").returncode == Exit.OK
        verdict = verdict_of(run)
        assert verdict.exact, json.dumps(verdict.as_json(), indent=1)[:3000]
        assert verdict.outcomes["accepted"] == len(CODECS) * 3 * 40 == sent.total()
        final = newest_final(run, 10)
        assert final is not None
        expected = sorted(sent.items(), key=lambda entry: (-entry[1], entry[0]))
        assert [(place.artist_id, place.plays) for place in final.rows] == expected


def test_a_schema_that_comes_later_turns_a_definite_no_into_events_and_the_refused_ones_can_be_sent_again(
    run: Settings, tmp_path: Path
) -> None:
    base = now_ms()
    early = [event(user, 1, base - 500) for user in range(1, 9)]
    later = [event(user, 2, base - 400) for user in range(1, 9)]
    with processes(run) as running:
        for name in ("store", "rank", "classify"):
            running.start(name)
        send(run, "lz4", [(fields["user_id"], encoded(NEWER, 6, fields)) for fields in early])
        wait_for("refusals", lambda: classified(run) == 8)
        assert added(run, tmp_path, NEWER) == 6
        send(run, "lz4", [(fields["user_id"], encoded(NEWER, 6, fields)) for fields in later])
        wait_for("events", lambda: classified(run) == 16)
        assert Counter(outcome for _, _, outcome in outcomes(run)) == {"invalid": 8, "accepted": 8}

        listed = json.loads(listening(run, "dlq", "list", "--json").stdout)
        assert listed["reasons"] == {"unknown_schema": 8}
        said = json.loads(listening(run, "dlq", "replay", "--reason", "unknown_schema", "--json").stdout)
        assert (said["sendable"], said["sent"]) == (8, 0)
        assert {fate["outcome"] for fate in said["fates"]} == {"accepted"}
        assert classified(run) == 16, "it only said what would happen"
        done = json.loads(listening(run, "dlq", "replay", "--reason", "unknown_schema", "--yes", "--json").stdout)
        assert done["sent"] == 8
        wait_for("the replayed", lambda: classified(run) == 24)
        again = json.loads(listening(run, "dlq", "replay", "--yes", "--json").stdout)
        assert (again["sendable"], again["sent"]) == (0, 0), "all are copies of what was sent by now"

        verdict = verdict_of(run)
        assert verdict.exact, json.dumps(verdict.as_json(), indent=1)[:3000]
        assert verdict.outcomes["accepted"] == 16
        assert verdict.unknown_then == 8
        ids = [fields["event_id"] for fields in early]
        story = json.loads(listening(run, "story", str(uuid.UUID(bytes=ids[0])), "--json").stdout)
        assert [copy["outcome"] for copy in story] == ["accepted"]


@contextmanager
def registry_at(port: int, folder: Path, run: str) -> Iterator[str]:
    """A registry by HTTP, as the store serves one."""
    app = FastAPI()
    serve_registry(app, load(schemas_dir=folder, run=run))
    server = Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert server.listening.wait(SECONDS)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


def test_while_the_registry_by_url_gives_no_answer_its_events_wait_and_none_is_refused(run: Settings) -> None:
    port, base = free_ports(1)[0], now_ms()
    asking = load(**(run.model_dump() | {"schema_registry_url": f"http://127.0.0.1:{port}"}))
    with processes(asking) as running:
        classify = running.start("classify")
        send(run, "none", [(user, encoded(V1, 1, event(user, 1, base - user))) for user in range(1, 30)])
        wait_for("it says that it waits", lambda: "waiting for the schema registry" in running.log("classify"))
        assert classified(run) == 0
        assert classify.poll() is None
        refused = listening(asking, "produce", "--events", "1000")
        assert refused.returncode == Exit.RESTART
        assert "LISTENING_SCHEMA_REGISTRY_URL" in refused.stderr
        with registry_at(port, run.schemas_dir, run.run):
            wait_for("all outcomes", lambda: classified(run) == 29)
            made = listening(asking, "produce", "--events", "1000", "--realtime", "--no-wait", "--json")
            assert made.returncode == Exit.OK, made.stderr
            wait_for("ours, too", lambda: len(outcomes(run)) == 1029)
    assert Counter(outcome for _, _, outcome in outcomes(run))["invalid"] == 0


def test_stock_serializers_deserializers_and_clients_work_with_the_store_s_registry(run: Settings, tmp_path: Path) -> None:
    newest = added(run, tmp_path, NEWER)
    topic = topics_of(run).events.name
    context = SerializationContext(topic, MessageField.VALUE)
    with processes(run) as running:
        running.start("store")
        running.start("classify")
        client = SchemaRegistryClient({"url": run.store_url})
        assert client.get_subjects() == ["artist-counts-value", "artists-value", "playback-events-value", "plays-value",
                                         "top-artists-value"]  # fmt: skip
        assert client.get_versions("playback-events-value") == [1, 2]
        assert client.get_latest_version(f"{topic}-value").schema_id == newest
        assert client.get_compatibility("playback-events-value") == "FULL_TRANSITIVE"
        serialize = AvroSerializer(client, json.dumps(V1), conf={"auto.register.schemas": False})
        fields = event(5, 50, now_ms() - 100)
        value = serialize({name: fields[name] for name in (entry["name"] for entry in V1["fields"])}, context)
        assert value == encoded(V1, 1, fields)
        read: Any = AvroDeserializer(client)(value, context)
        assert (read["event_id"], read["artist_id"], read["platform"]) == (fields["event_id"], 50, "web")
        with pytest.raises(SchemaRegistryError, match="read-only"):
            client.register_schema("playback-events-value", client.get_schema(1))
        with pytest.raises(SchemaRegistryError, match="not found"):
            client.get_schema(99)
        send(run, "zstd", [(5, value)])
        wait_for("the stock client's event", lambda: classified(run) == 1)
        assert [outcome for _, _, outcome in outcomes(run)] == ["accepted"]
        if shutil.which("kcat") is None:
            pytest.skip("kcat is not installed: reading by kcat is not shown")
        # Debian's kcat is built without Avro: it shows key and value as they lie there.
        shown = subprocess.run(
            ["kcat", "-b", run.bootstrap, "-t", topic, "-C", "-e", "-q", "-s", "key=>q", "-f", "%k %S %s"],
            capture_output=True,
            timeout=SECONDS,
            check=True,
        )
        assert shown.stdout == b"5 %d " % len(value) + value


@pytest.mark.parametrize(
    ("document", "part"),
    [
        ({**V1, "fields": [entry for entry in V1["fields"] if entry["name"] != "country"]}, "country"),
        ({**V1, "fields": [*V1["fields"], {"name": "device", "type": "string"}]}, "device"),
        (
            {**V1, "fields": [*V1["fields"], {"name": "tags", "type": STRINGS, "default": []}]},
            "flat",
        ),
        ({**V1, "name": "Other"}, "Other"),
        ("nonsense", "no Avro schema"),
        (V1, "it is version 1 already"),
    ],
)
def test_an_incompatible_change_is_refused_before_anything_is_written(
    settings: Settings, tmp_path: Path, document: Any, part: str
) -> None:
    folder, file = tmp_path / "schemas", tmp_path / "new.avsc"
    shutil.copytree(schemas.FOLDER, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    file.write_text(json.dumps(document))
    chosen = load(**(settings.model_dump() | {"schemas_dir": folder}))
    for command, code in (("check", Exit.CHECK_FAILED), ("add", Exit.STAY_DOWN)):
        answer = listening(chosen, "schemas", command, str(file))
        assert answer.returncode in (code, Exit.CHECK_FAILED)
        assert part in " ".join((answer.stdout + answer.stderr).split())
        assert "Traceback" not in answer.stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
