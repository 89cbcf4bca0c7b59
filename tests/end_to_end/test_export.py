"""A run's log on a real broker → export → merge, against a plain consumer's reading of the topic and Python's sort."""

import io
import json
import shutil
import struct
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Producer

import schemas
from pipeline.admin import ensure_topics
from pipeline.errors import Exit, RefusedError
from pipeline.settings import Settings, load
from pipeline.topics import topics_of
from pipeline.verify.decode import Decoder, InvalidEventError
from pipeline.verify.partitioner import partition_of
from producers.merge import export as module
from producers.merge.export import export
from producers.merge.merge import merge
from producers.produce import produce
from producers.scenarios.model import Scenario
from tests.conftest import settings_env
from tests.end_to_end.test_poison import poison, publish
from tests.end_to_end.test_repartition import log_of, now_ms, tick_of
from tests.unit.batches import body_of, event, framed

ROOT = Path(__file__).parents[2]
SERVICES = ["spotify", "a/b", "..", "Ärger & Söhne"]
Event = dict[str, Any]


def fill(settings: Settings) -> None:
    """A scenario, then events of several services with many equal times and copies, poison between them."""
    ensure_topics(settings)
    produce(settings, Scenario(events=3_000, minutes=20, artists=100, users=500, release={"at": "minute 8"}, seed=7))
    # Idempotent, or a retry would be copies that nobody counts on.
    properties = {"partitioner": "murmur2", "linger.ms": 5, "enable.idempotence": True}
    client, now = Producer({"bootstrap.servers": settings.bootstrap} | properties), now_ms()
    for number in range(4_000):
        fields = event(
            1 + number % 97,
            event_id=uuid.UUID(int=number - number % 4 // 3).bytes,  # every fourth repeats the id before
            played_at=now - number * 7_919 % 50,
            service=SERVICES[number % len(SERVICES)],
            offline=number % 2 == 0,
            platform=["ios", "tv", "other"][number % 3],
        )
        client.produce(topics_of(settings).events.name, framed(body_of(fields)), struct.pack(">q", fields["user_id"]))
    assert client.flush(60) == 0
    publish(settings, poison(settings))


def read_plainly(settings: Settings) -> tuple[list[Event], int, int]:
    """Valid events by (played_at, partition, offset), the numbers of invalid records and of ticks.

    By a plain consumer, verify's judgement, and fastavro's own reading of the body under the schema in schemas/.
    """
    schema = fastavro.parse_schema(schemas.schema(schemas.EVENTS_SUBJECT, 1))
    decoder, found, invalid, ticks = Decoder(), [], 0, 0
    for partition, part in enumerate(log_of(settings)):
        for offset, content in enumerate(part):
            appended_at, key, value, _headers = content
            if tick_of(content) is not None and int(dict(content[3])["listening-tick"]) > 946_684_800_000:
                ticks += 1
                continue
            try:
                judged = decoder.decode(value or b"")
            except InvalidEventError:
                invalid += 1
                continue
            at_home = key == struct.pack(">q", judged["user_id"]) and partition_of(key, settings.partitions) == partition
            if not at_home or judged["played_at"] > appended_at + 600_000:
                invalid += 1
                continue
            fields = fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None)
            found.append((judged["played_at"], partition, offset, fields))
    return [fields for _, _, _, fields in sorted(found, key=lambda row: row[:3])], invalid, ticks


def listening(settings: Settings, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        env=settings_env(settings), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def in_files_order(expected: Sequence[Event], services: Sequence[str]) -> list[Event]:
    return sorted(expected, key=lambda fields: (fields["played_at"], services.index(fields["service"])))


def test_export_and_merge_are_the_logs_valid_events_by_time(settings: Settings, tmp_path: Path) -> None:
    fill(settings)
    expected, invalid, ticks = read_plainly(settings)
    services = sorted({fields["service"] for fields in expected})
    assert set(SERVICES) < set(services)
    assert len(expected) == 7_000

    told = listening(settings, "export", "--run", settings.run, "--out", str(tmp_path / "out"), "--json")
    assert told.returncode == Exit.OK, told.stderr
    result = json.loads(told.stdout)
    assert (sum(result["invalid"].values()), result["ticks"], result["absent"]) == (invalid, ticks, 0)
    assert invalid > 20
    assert list(result["files"]) == services
    paths = [tmp_path / "out" / result["files"][service] for service in services]
    assert sorted((tmp_path / "out").iterdir()) == sorted(paths)
    for service, path in zip(services, paths, strict=True):
        own = [fields for fields in expected if fields["service"] == service]
        assert pq.read_table(path).to_pylist() == own
        assert result["events"][service] == len(own)
    fields = schemas.schema(schemas.EVENTS_SUBJECT, 1)["fields"]
    schema = pq.read_schema(paths[0])
    assert schema.names == [field["name"] for field in fields]
    assert (schema.field("event_id").type, schema.field("ms_played").type) == (pa.binary(16), pa.int32())
    assert schema.field("sent_at").type == pa.timestamp("ms", "UTC")

    out = tmp_path / "all.parquet"
    told = listening(settings, "merge", *map(str, paths), "--out", str(out))
    assert told.returncode == Exit.OK, told.stderr
    assert told.stdout.startswith(f"7,000 rows of {len(paths)} files by played_at in ")
    assert pq.read_table(out).to_pylist() == in_files_order(expected, services)

    refused = listening(settings, "export", "--run", settings.run, "--out", str(tmp_path / "out"))
    assert refused.returncode == Exit.STAY_DOWN
    assert refused.stderr.startswith("error: --out ")
    assert len(refused.stderr.splitlines()) == 1

    # A log larger than memory: the same files, however small the runs.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "RUN_ROWS", 500)
        done = export(settings, tmp_path / "again")
    assert done.runs > 3
    for path in paths:
        assert pq.read_table(tmp_path / "again" / path.name).equals(pq.read_table(path))
    assert merge([tmp_path / "again" / path.name for path in paths], out).rows == 7_000
    assert not list(tmp_path.glob(".*"))


def test_an_event_under_another_version_is_exported_with_our_fields(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "schemas"
    text = schemas.schema(schemas.EVENTS_SUBJECT, 1)
    text["fields"].insert(3, {"name": "mood", "type": ["null", "string"], "default": None})
    file = tmp_path / "2.avsc"
    file.write_text(json.dumps(text))

    shutil.copytree(schemas.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    run = load(**(settings.model_dump() | {"schemas_dir": folder}))
    added = listening(run, "schemas", "add", str(file), "--json")
    assert added.returncode == Exit.OK, added.stderr
    schema_id = json.loads(added.stdout)["id"]
    ensure_topics(run)

    client, now, values = Producer({"bootstrap.servers": run.bootstrap, "partitioner": "murmur2"}), now_ms(), []
    for number, version in enumerate([1, 2, 2, 1]):
        fields = event(1, event_id=uuid.UUID(int=number).bytes, played_at=now - number)
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, text, fields | {"mood": "calm"})
        values.append(framed(body_of(fields)) if version == 1 else framed(stream.getvalue(), schema_id))
        client.produce(topics_of(run).events.name, values[-1], struct.pack(">q", 1))
    assert client.flush(60) == 0
    done = export(run, tmp_path / "out")
    assert (done.events, done.invalid) == ({"listening": 4}, {})
    ids = [
        int.from_bytes(row["event_id"], "big") for row in pq.read_table(tmp_path / "out" / "listening.parquet").to_pylist()
    ]
    assert ids == [3, 2, 1, 0]


def test_a_run_without_a_log_is_refused_and_no_folder_is_made(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="There is no topic"):
        export(settings, tmp_path / "out")
    ensure_topics(settings)
    with pytest.raises(RefusedError, match="has 4 partitions and LISTENING_PARTITIONS is 5"):
        export(settings.model_copy(update={"partitions": 5}), tmp_path / "out")
    assert export(settings, tmp_path / "out").files == {}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".out", "out"))] == ["out"]
