"""verify against a real log on a real broker."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

import schemas
from pipeline.admin import ensure_topics
from pipeline.codec.records import Refused
from pipeline.errors import RefusedError, UnavailableError
from pipeline.log.dead_letters import dead_letter_headers
from pipeline.outcomes import Outcome
from pipeline.registry.folder import FolderRegistry
from pipeline.settings import Settings, load
from pipeline.topics import topics_of
from pipeline.verify.decode import Decoder
from pipeline.verify.readlog import end_offsets, read
from pipeline.verify.recompute import TICK, Recomputed, recompute
from pipeline.verify.verify import verify_rows
from tests.end_to_end.processes import wait_for
from tests.unit.verify.logs import FRAME, body, fields
from tests.unit.verify.stored import StoredRows


def produce(settings: Settings, *records: dict[str, Any]) -> None:
    """Produce each with murmur2, as every producer must, and wait for the broker."""
    producer = Producer(
        {"bootstrap.servers": settings.bootstrap, "partitioner": "murmur2", "acks": "all", "enable.idempotence": True}
    )
    failures: list[Any] = []
    for record in records:
        producer.produce(
            **{"topic": topics_of(settings).events.name} | record,
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
    assert producer.flush(120) == 0
    assert not failures


def event(name: str, user: int, played_at: int, **changes: Any) -> dict[str, Any]:
    stamped = fields(name, 0, user_id=user, **changes) | {"played_at": played_at, "sent_at": played_at}
    return {"key": user.to_bytes(8, "big"), "value": FRAME + body(stamped)}


def refused(settings: Settings, partition: int, offset: int) -> dict[str, Any]:
    """A dead letter as classify writes it, for `produce`."""
    entry = Refused(offset, 0, "unknown_schema", "the registry has no schema of this id")
    headers = dead_letter_headers([], topics_of(settings).events.name, partition, entry)
    return {"topic": topics_of(settings).dlq.name, "partition": partition, "value": b"poison", "headers": headers}


def tick(partition: int, stamp: int) -> dict[str, Any]:
    return {"partition": partition, "key": None, "value": None, "headers": [("listening-tick", str(stamp).encode())]}


def recomputed(settings: Settings) -> Recomputed:
    ends = end_offsets(settings)
    return recompute(
        read(settings, ends),
        ends=ends,
        rules=settings.rules,
        window_ms=settings.window_seconds * 1000,
        top_k=settings.top_k,
        shards=settings.shards,
    )


def test_a_log_is_read_whole_and_librdkafkas_murmur2_is_ours(settings: Settings) -> None:
    ensure_topics(settings)
    now = int(time.time() * 1000)
    plays = [event(f"e{number}", user=number % 50 + 1, played_at=now - 1000) for number in range(1, 501)]
    copies = plays[:100]
    produce(settings, *plays, *copies, *(tick(partition, now) for partition in range(settings.partitions)))
    result = recomputed(settings)
    assert sum(result.ends) == 604
    assert [result.count(kind) for kind in (Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.INVALID, TICK)] == [500, 100, 0, 4]
    assert result.watermark == now


def test_null_and_empty_values_and_keys_are_told_apart(settings: Settings) -> None:
    ensure_topics(settings)
    now = int(time.time() * 1000)
    produce(
        settings,
        tick(0, now - 5000),
        tick(0, now - 4000) | {"key": b"any"},
        {"partition": 0, "key": None, "value": b"", "headers": [("listening-tick", str(now).encode())]},
        {"partition": 0, "key": None, "value": None},
        {"partition": 0, "key": b"", "value": event("a", 1, now)["value"]},
    )
    (fold, *_) = recomputed(settings).folds
    assert list(fold.kinds) == [TICK, TICK, Outcome.INVALID, Outcome.INVALID, Outcome.INVALID]
    assert fold.watermark == now - 4000


def test_the_brokers_time_caps_a_tick_from_the_future(settings: Settings) -> None:
    ensure_topics(settings)
    before = int(time.time() * 1000)
    produce(settings, tick(0, before + 3_600_000))
    assert before <= recomputed(settings).folds[0].watermark <= int(time.time() * 1000)


def test_transaction_markers_are_offsets_without_a_record(settings: Settings) -> None:
    ensure_topics(settings)
    now = int(time.time() * 1000)
    producer = Producer({"bootstrap.servers": settings.bootstrap, "transactional.id": settings.run})
    producer.init_transactions(120)
    producer.begin_transaction()
    producer.produce(topics_of(settings).events.name, **tick(1, now - 1))
    producer.commit_transaction(120)
    wait_for("the marker, which follows the answer", lambda: end_offsets(settings)[1] == 2)
    produce(settings, tick(1, now))
    result = recomputed(settings)
    assert (result.ends[1], result.count(TICK)) == (3, 2)
    assert result.folds[1].watermark == now


def test_an_empty_log_is_read_at_once(settings: Settings) -> None:
    ensure_topics(settings)
    assert list(read(settings, end_offsets(settings))) == []


def test_verify_says_exact_of_rows_that_follow_from_the_log_and_not_of_others(settings: Settings) -> None:
    ensure_topics(settings)
    now = int(time.time() * 1000)
    plays = [event(f"e{number}", user=number, played_at=now - 1000 - number) for number in range(1, 101)]
    produce(settings, *plays, *plays[:9], *(tick(partition, now) for partition in range(settings.partitions)))
    stored = StoredRows(recomputed(settings), batch=7)
    verdict = verify_rows(settings, stored, timeout=120, show_progress=False)
    assert (verdict.sentence, verdict.offsets, verdict.outcomes["duplicate"]) == ("verify: exact", 113, 9)
    stored.tables["plays"][5]["artist_id"] = 99
    verdict = verify_rows(settings, stored, timeout=0, show_progress=False)
    assert [check.name for check in verdict.checks if not check.exact] == ["plays"]


def test_a_dead_letter_whose_record_became_an_event_after_all_is_not_believed(settings: Settings, tmp_path: Path) -> None:
    # classify wrote the letter and died; when it was back, the registry had the schema.
    folder = tmp_path / "schemas"
    shutil.copytree(schemas.FOLDER, folder)
    newer = FolderRegistry(folder).add(schemas.EVENTS_SUBJECT, schemas.schema_text(schemas.EVENTS_SUBJECT, 1))
    settings = settings.model_copy(update={"schemas_dir": folder})
    ensure_topics(settings)
    now = int(time.time() * 1000)
    plays = [event(f"e{number}", user=7, played_at=now - 1000) for number in range(2)]
    plays[1]["value"] = b"\0" + newer.schema_id.to_bytes(4, "big") + plays[1]["value"][5:]
    produce(settings, *plays, plays[1], *(tick(partition, now) for partition in range(settings.partitions)))
    ends = end_offsets(settings)
    registry = FolderRegistry(folder)
    of = {"ends": ends, "rules": settings.rules, "window_ms": settings.window_seconds * 1000, "top_k": settings.top_k}
    of |= {"shards": settings.shards, "decoder": Decoder(registry.text)}
    (partition,) = [number for number, end in enumerate(ends) if end == 4]
    letters = [refused(settings, partition, offset) for offset in (1, 2)]
    believed: Any = recompute(read(settings, ends), **of, unknown_then=[(partition, 1)])
    stored = StoredRows(believed)
    for letter in letters:
        produce(settings, letter)
    verdict = verify_rows(settings, stored, timeout=120, show_progress=False)
    assert (verdict.sentence, verdict.unknown_then) == ("verify: exact", 1)


def test_a_log_without_its_beginning_is_refused(settings: Settings) -> None:
    ensure_topics(settings)
    produce(settings, tick(0, int(time.time() * 1000)), tick(0, int(time.time() * 1000)))
    topic = topics_of(settings).events.name
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})  # kept: its futures end with it
    for future in admin.delete_records([TopicPartition(topic, 0, 1)]).values():
        future.result(120)
    with pytest.raises(RefusedError, match="begins at offset 1 in partition 0"):
        end_offsets(settings)


def test_a_run_without_topics_is_refused_and_none_are_made(settings: Settings) -> None:
    with pytest.raises(RefusedError, match=f"no topic {topics_of(settings).events.name}"):
        end_offsets(settings)


def test_another_number_of_partitions_is_refused(settings: Settings) -> None:
    ensure_topics(settings)
    topic = topics_of(settings).events.name
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    for future in admin.create_partitions([NewPartitions(topic, 5)]).values():
        future.result(120)
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "none"})
    deadline = time.monotonic() + 120
    while len(consumer.list_topics(topic, timeout=120).topics[topic].partitions) < 5 and time.monotonic() < deadline:
        consumer.poll(0.05)
    consumer.close()
    with pytest.raises(RefusedError, match="5 partitions and LISTENING_PARTITIONS is 4"):
        end_offsets(settings)


def test_times_of_another_kind_are_refused(settings: Settings) -> None:
    ensure_topics(settings)
    produce(settings, tick(0, int(time.time() * 1000)))
    other = settings.model_copy(update={"append_time": False})
    with pytest.raises(RefusedError, match="LISTENING_APPEND_TIME=false"):
        list(read(other, end_offsets(other)))


def test_a_broker_that_is_away_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.verify.readlog.ANSWER_SECONDS", 1.0)
    with pytest.raises(UnavailableError, match="LISTENING_KAFKA_BOOTSTRAP"):
        end_offsets(load(kafka_bootstrap="127.0.0.1:1", data_dir=tmp_path))
