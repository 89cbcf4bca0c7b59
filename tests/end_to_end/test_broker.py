"""The embedded broker and the run's topics, on the real thing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from deploy.embedded.broker import running_broker
from deploy.embedded.ports import free_ports, is_listening
from deploy.embedded.programs import environment
from pipeline.admin import delete_run, ensure_topics, wait_for_broker
from pipeline.errors import ListeningError, RefusedError, UnavailableError
from pipeline.settings import Settings, load
from pipeline.topics import topics_of


def produce(settings: Settings, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": settings.bootstrap, "acks": "all", "message.max.bytes": 16 << 20})
    failures: list[object] = []
    producer.produce(topic, value, partition=0, on_delivery=lambda error, _: failures.append(error) if error else None)
    assert producer.flush(120) == 0
    assert failures == []


def values(settings: Settings, topic: str, count: int) -> list[bytes | None]:
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "unused", "auto.offset.reset": "error"})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        messages = consumer.consume(count, timeout=120)
        return [message.value() for message in messages]
    finally:
        consumer.close()


def test_topics_are_made_as_the_run_needs_them_and_a_second_call_changes_nothing(settings: Settings) -> None:
    ensure_topics(settings)
    ensure_topics(settings)
    client = AdminClient({"bootstrap.servers": settings.bootstrap})
    metadata = client.list_topics(timeout=120).topics
    assert {name: len(topic.partitions) for name, topic in metadata.items() if name.startswith(settings.run + ".")} == {
        f"{settings.run}.playback-events": 4,
        f"{settings.run}.playback-events.dlq": 4,
        f"{settings.run}.plays": 4,
        f"{settings.run}.artist-counts": 1,
        f"{settings.run}.top-artists": 1,
        f"{settings.run}.artists": 1,
    }
    resource = ConfigResource(ResourceType.TOPIC, f"{settings.run}.playback-events")
    (future,) = client.describe_configs([resource]).values()
    config = {name: entry.value for name, entry in future.result().items()}
    assert config["message.timestamp.type"] == "LogAppendTime"
    assert config["retention.ms"] == "-1"
    assert config["cleanup.policy"] == "delete"


def test_a_record_of_the_largest_size_fits_into_a_derived_topic(settings: Settings) -> None:
    ensure_topics(settings)
    value = os.urandom(15 << 20)
    produce(settings, topics_of(settings).plays.name, value)
    assert values(settings, topics_of(settings).plays.name, 1) == [value]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"partitions": 8}, r"playback-events has partitions=4, but this run needs 8,.*LISTENING_PARTITIONS.*LISTENING_RUN"),
        ({"shards": 2}, r"artist-counts has partitions=1, but this run needs 2,.*LISTENING_SHARDS.*LISTENING_RUN"),
        ({"append_time": False}, r"message\.timestamp\.type=LogAppendTime, .* needs CreateTime,.*LISTENING_APPEND_TIME"),
    ],
)
def test_differing_topics_are_refused_with_both_values_and_the_remedy(
    settings: Settings, change: dict[str, object], sentence: str
) -> None:
    ensure_topics(settings)
    with pytest.raises(RefusedError, match=sentence):
        ensure_topics(settings.model_copy(update=change))


def test_a_deleted_run_leaves_no_topic_no_folder_and_other_runs_alone(settings: Settings) -> None:
    other = settings.model_copy(update={"run": settings.run + "-other"})
    ensure_topics(settings)
    ensure_topics(other)
    settings.run_dir.mkdir(parents=True)
    delete_run(settings)
    left = AdminClient({"bootstrap.servers": settings.bootstrap}).list_topics(timeout=120).topics
    assert not [name for name in left if name.startswith(settings.run + ".")]
    assert topics_of(other).plays.name in left
    assert not settings.run_dir.exists()
    with pytest.raises(ListeningError, match="There is no run"):
        delete_run(settings)
    ensure_topics(settings)  # and the name can be used again


def test_no_broker_is_one_sentence(tmp_path: Path) -> None:
    settings = load(kafka_port=free_ports(1)[0], data_dir=tmp_path)
    with pytest.raises(UnavailableError, match=r"No Kafka broker answered at 127\.0\.0\.1:\d+ within 1 s"):
        wait_for_broker(settings, 1)


def test_after_kill_9_the_broker_starts_on_the_same_data_and_then_nothing_listens(tmp_path: Path) -> None:
    port, controller = free_ports(2)
    settings = load(data_dir=tmp_path, kafka_port=port, kafka_controller_port=controller)
    first = subprocess.Popen(
        [sys.executable, "-m", "deploy.embedded.broker"], env=environment(settings), start_new_session=True
    )
    try:
        wait_for_broker(settings, 120)
        ensure_topics(settings)
        produce(settings, topics_of(settings).plays.name, b"kept")
    finally:
        # Python became Java (exec): the process that was started is the broker.
        os.kill(first.pid, signal.SIGKILL)
        assert first.wait(120) == -signal.SIGKILL
    cluster = (tmp_path / "broker" / "cluster.id").read_text()
    with running_broker(settings):
        assert values(settings, topics_of(settings).plays.name, 1) == [b"kept"]
        with pytest.raises(RefusedError, match="LISTENING_KAFKA_PORT"), running_broker(settings):
            pass
    assert (tmp_path / "broker" / "cluster.id").read_text() == cluster
    assert not is_listening("127.0.0.1", port)
    assert not is_listening("127.0.0.1", controller)
