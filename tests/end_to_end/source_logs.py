"""Source logs under test: produced record by record, and read back by a plain consumer."""

import struct
import time
import uuid
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from pipeline.settings import Settings
from pipeline.topics import topics_of
from pipeline.verify.partitioner import partition_of
from tests.unit.batches import body_of, event, framed

SECONDS = 120

Content = tuple[Any, ...]
"""(broker time, key, value, headers)."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def log_of(settings: Settings) -> list[list[Content]]:
    """playback-events by partition, read by a plain consumer."""
    topic = topics_of(settings).events.name
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "tests", "auto.offset.reset": "error"})
    log: list[list[Content]] = [[] for _ in range(settings.partitions)]
    try:
        places = [TopicPartition(topic, partition, 0) for partition in range(settings.partitions)]
        deadline = time.monotonic() + SECONDS
        ends = [end_of(consumer, place, deadline) for place in places]
        consumer.assign(places)
        while [len(part) for part in log] != ends:
            assert time.monotonic() < deadline
            for message in consumer.consume(5_000, 0.2):
                assert message.error() is None, message.error()
                headers = tuple(message.headers() or ())
                log[message.partition()].append((message.timestamp()[1], message.key(), message.value(), headers))
    finally:
        consumer.close()
    return log


def end_of(consumer: Any, place: TopicPartition, deadline: float) -> int:
    """The offset after the last record; of a topic that was just made, as soon as its leader knows that it is one."""
    while True:
        try:
            return int(consumer.get_watermark_offsets(place, timeout=SECONDS)[1])
        except KafkaException:
            assert time.monotonic() < deadline
            consumer.poll(0.05)


def put(settings: Settings, *records: tuple[int | None, bytes | None, bytes | None, list[tuple[str, bytes]]]) -> None:
    """Produce (partition or None for the key's own, key, value, headers), in order."""
    properties = {
        "partitioner": "murmur2",
        "enable.idempotence": True,
        "message.max.bytes": 4 << 20,
        "compression.type": "lz4",
    }
    producer = Producer({"bootstrap.servers": settings.bootstrap} | properties)
    for partition, key, value, headers in records:
        place = {} if partition is None else {"partition": partition}
        producer.produce(topics_of(settings).events.name, key=key, value=value, headers=headers, **place)
        producer.flush(SECONDS) if value is None else producer.poll(0)
    assert producer.flush(SECONDS) == 0


def ticks(settings: Settings, clock: int) -> list[tuple[int | None, bytes | None, bytes | None, list[tuple[str, bytes]]]]:
    return [(p, None, None, [("listening-tick", b"%d" % clock)]) for p in range(settings.partitions)]


def play(user: int, played_at: int) -> tuple[bytes, bytes]:
    """Key and value of a new event."""
    fields = event(user, event_id=uuid.uuid4().bytes, played_at=played_at, sent_at=played_at)
    return struct.pack(">q", user), framed(body_of(fields))


def odd_records(settings: Settings) -> list[tuple[int | None, bytes | None, bytes | None, list[tuple[str, bytes]]]]:
    """Copies, poison, and events that lie in a wrong partition, one of them with its copy in the right one."""
    at = now_ms()
    (key, value), (_, other), (_, third) = (play(1, at - 1_000) for _ in range(3))
    astray = (partition_of(key, settings.partitions) + 1) % settings.partitions
    return [
        (None, key, value, []),
        (None, key, value, [("mine", b"kept"), ("mine", b"twice")]),
        (astray, key, value, []),
        (astray, key, other, []),
        *((partition, None, b"no key", []) for partition in range(settings.partitions)),
        (2, b"", b"", []),
        (1, b"a longer key", value, []),
        (None, key, None, []),
        (None, key, b"no event", []),
        (3, None, None, [("listening-tick", b"noon")]),
        (0, key, None, [("listening-tick", b"%d" % at)]),
        (2, None, b"\0" * 2_000_000, []),
        (None, key, third, []),
    ]
