"""A topic read whole by a plain consumer: partitions assigned, no group, no commits, every wait bounded."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from pipeline.errors import RefusedError, UnavailableError
from pipeline.settings import Settings
from pipeline.verify.readlog import headers_of

ANSWER_SECONDS = 30.0
"""How long the broker may take for one answer, and for the next records."""
AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Raw:
    """A record as it lies on the broker. A name that occurs twice among the headers has its last value."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes | None]


def raw_of(message: Any) -> Raw:
    """The record of a confluent-kafka message that is no error."""
    headers = dict(headers_of(message) or ())
    return Raw(message.partition(), message.offset(), message.key(), message.value(), headers)


def consumer_of(settings: Settings) -> Any:
    """A consumer to assign partitions to."""
    return Consumer(
        {
            "bootstrap.servers": settings.bootstrap,
            "group.id": f"{settings.run}.oracles",  # never joined, and nothing is committed
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_uncommitted",
            "enable.partition.eof": True,
            "check.crcs": True,
            "fetch.wait.max.ms": 100,
            "queued.max.messages.kbytes": 16 << 10,
            "reconnect.backoff.max.ms": 1_000,
            "log_level": 0,
        }
    )


def partitions_of(consumer: Any, topic: str, seconds: float = ANSWER_SECONDS) -> int:
    """How many partitions the topic has, 0 where there is no such topic. Raises KafkaException."""
    found = consumer.list_topics(topic, timeout=seconds).topics.get(topic)
    return 0 if found is None or found.error is not None else len(found.partitions)


def end_of(consumer: Any, topic: str, partition: int, seconds: float = ANSWER_SECONDS) -> int:
    """The offset after the last record. Raises KafkaException."""
    return int(consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=seconds)[1])


def ends_of(settings: Settings, topic: str) -> list[int]:
    """The offset after the last record, by partition. Raises UnavailableError, RefusedError without such a topic."""
    consumer = consumer_of(settings)
    try:
        return [end_of(consumer, topic, partition) for partition in range(_known(consumer, topic))]
    except KafkaException as error:
        raise _unavailable(settings, topic, error.args[0]) from error
    finally:
        consumer.close()


def records(settings: Settings, topic: str, starts: Mapping[int, int] | None = None) -> Iterator[Raw]:
    """Every record up to the end as it is when it is reached; those of a partition in the order of their offsets.

    `starts`: partition → first offset, of the partitions to read; None: all, from their beginnings. Raises
    UnavailableError where the broker sends nothing for 30 s, RefusedError without such a topic.
    """
    consumer = consumer_of(settings)
    try:
        if starts is None:
            starts = dict.fromkeys(range(_known(consumer, topic)), OFFSET_BEGINNING)
        left = set(starts)
        consumer.assign([TopicPartition(topic, partition, offset) for partition, offset in starts.items()])
        deadline = time.monotonic() + ANSWER_SECONDS
        while left:
            messages = consumer.consume(AT_ONCE, timeout=0.2)
            if messages:
                deadline = time.monotonic() + ANSWER_SECONDS
            elif time.monotonic() > deadline:
                raise UnavailableError(f"{topic}: the broker sent nothing for {ANSWER_SECONDS:.0f} s")
            for message in messages:
                if (error := message.error()) is None:
                    yield raw_of(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition())
                else:
                    raise _unavailable(settings, topic, error)
    except KafkaException as error:
        raise _unavailable(settings, topic, error.args[0]) from error
    finally:
        consumer.close()


def _known(consumer: Any, topic: str) -> int:
    if not (partitions := partitions_of(consumer, topic)):
        raise RefusedError(f"there is no topic {topic}")
    return partitions


def _unavailable(settings: Settings, topic: str, error: Any) -> UnavailableError:
    return UnavailableError(f"{topic} can't be read from {settings.bootstrap}: {error.str()}")
