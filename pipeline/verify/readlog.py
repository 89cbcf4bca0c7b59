"""The source log as it lies on the broker: its end offsets, and every record below them."""

import time
from collections.abc import Iterator
from operator import methodcaller
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from pipeline.errors import ListeningError, RefusedError, UnavailableError
from pipeline.settings import Settings
from pipeline.topics import topics_of
from pipeline.verify.recompute import Record

ANSWER_SECONDS = 30.0
"""How long the broker may take for one answer, and for the next records."""
AT_ONCE = 5_000
"""Records taken from the client at a time."""
KINDS = {TIMESTAMP_LOG_APPEND_TIME: "LogAppendTime", TIMESTAMP_CREATE_TIME: "CreateTime"}

_HEADERS_OF = methodcaller("headers")
"""Called from C: confluent-kafka 2.16 answers an unreadable name with an exception and a list with holes at once, and a
plain call in warm code takes the list; the process dies when it is looked at."""

STILL_MOVING = {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART}


def end_offsets(settings: Settings) -> list[int]:
    """The offset after the last record, by partition.

    Raises RefusedError where the topic isn't the run's or its beginning is gone, UnavailableError without an answer.
    """
    consumer = consumer_of(settings)
    try:
        return _ends(consumer, settings)
    except KafkaException as error:
        raise sentence(settings, error.args[0]) from error
    finally:
        consumer.close()


def read(settings: Settings, ends: list[int]) -> Iterator[Record]:
    """Every record below `ends`; those of one partition in the order of their offsets.

    Raises RefusedError for a record whose time is of another kind than the run's, UnavailableError if the broker stops
    answering for 30 s.
    """
    topic = topics_of(settings).events.name
    # A record without a time counts as CreateTime -1, as it lies in the log.
    kind = TIMESTAMP_LOG_APPEND_TIME if settings.append_time else TIMESTAMP_CREATE_TIME
    consumer = consumer_of(settings)
    try:
        left = {partition: end for partition, end in enumerate(ends) if end > 0}
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in left])
        deadline = time.monotonic() + ANSWER_SECONDS
        while left:
            messages = consumer.consume(AT_ONCE, timeout=1.0)
            if messages:
                deadline = time.monotonic() + ANSWER_SECONDS
            elif time.monotonic() > deadline:
                raise silent(settings)
            for message in messages:
                partition, offset = message.partition(), message.offset()
                if (error := message.error()) is not None:
                    if error.code() != KafkaError._PARTITION_EOF:
                        raise sentence(settings, error)
                    passed = offset  # of the end: what lies below it and never came holds no record
                else:
                    passed = offset + 1
                    if offset < ends[partition]:
                        found, appended_at = message.timestamp()
                        if found != kind and (found in KINDS or settings.append_time):
                            raise _other_time(settings, topic, partition, offset, found)
                        yield Record(partition, offset, appended_at, message.key(), message.value(), headers_of(message))
                if partition in left and passed >= left[partition]:
                    del left[partition]
                    consumer.incremental_unassign([TopicPartition(topic, partition)])
    except KafkaException as error:
        raise sentence(settings, error.args[0]) from error
    finally:
        consumer.close()


def headers_of(message: Any) -> Any:
    """The headers; none where a name is no UTF-8: such a record has no tick's header that we could read."""
    try:
        return _HEADERS_OF(message)
    except (UnicodeDecodeError, SystemError):
        return None


def consumer_of(settings: Settings) -> Any:
    """A consumer to assign partitions to: no group, no commits, and nothing that is gone is jumped over."""
    return Consumer(
        {
            "bootstrap.servers": settings.bootstrap,
            "group.id": f"{settings.run}.verify",  # never joined: partitions are assigned by hand, nothing is committed
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_uncommitted",
            "enable.partition.eof": True,
            "check.crcs": True,
            "queued.max.messages.kbytes": 32 << 10,
            "log_level": 0,
        }
    )


def _ends(consumer: Any, settings: Settings) -> list[int]:
    topic = topics_of(settings).events
    partitions = consumer.list_topics(topic.name, timeout=ANSWER_SECONDS).topics[topic.name].partitions
    if not partitions:
        raise RefusedError(f"There is no topic {topic.name}: start the run with `listening up`, or set LISTENING_RUN.")
    if len(partitions) != topic.partitions:
        raise RefusedError(
            f"Topic {topic.name} has {len(partitions)} partitions and LISTENING_PARTITIONS is {topic.partitions}: "
            "set LISTENING_PARTITIONS to what the run began with."
        )
    ends = []
    for partition in range(topic.partitions):
        low, high = _bounds(consumer, TopicPartition(topic.name, partition))
        if low > 0:
            raise RefusedError(
                f"Topic {topic.name} begins at offset {low} in partition {partition}, what came before was deleted: "
                "a log without its beginning can't be verified."
            )
        ends.append(high)
    return ends


def _bounds(consumer: Any, place: TopicPartition) -> tuple[int, int]:
    """Low and high watermark offsets. A topic that was just made may not have its leader yet: asked again, bounded."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            low, high = consumer.get_watermark_offsets(place, timeout=ANSWER_SECONDS)
            return low, high
        except KafkaException as error:
            if error.args[0].code() not in STILL_MOVING or time.monotonic() > deadline:
                raise
        consumer.poll(0.05)


def _other_time(settings: Settings, topic: str, partition: int, offset: int, found: int) -> RefusedError:
    ours = KINDS[TIMESTAMP_LOG_APPEND_TIME if settings.append_time else TIMESTAMP_CREATE_TIME]
    return RefusedError(
        f"Topic {topic} holds {KINDS.get(found, 'no time')} at partition {partition}, offset {offset}, and by "
        f"LISTENING_APPEND_TIME={str(settings.append_time).lower()} it should be {ours}: set it to what the run began with."
    )


def silent(settings: Settings) -> UnavailableError:
    return UnavailableError(
        f"The broker at {settings.bootstrap} sent nothing for {ANSWER_SECONDS:.0f} s before the log's end was reached: "
        "see that it is up, and try again."
    )


def sentence(settings: Settings, error: Any) -> ListeningError:
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        return RefusedError(
            f"Topic {topics_of(settings).events.name} lost records while it was read: "
            "it was cut or made anew, and this run can't be verified any more."
        )
    if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC):
        name = topics_of(settings).events.name
        return RefusedError(f"There is no topic {name}: start the run with `listening up`, or set LISTENING_RUN.")
    start = f"start it with `listening up --run {settings.run}`"
    remedy = "check LISTENING_KAFKA_BOOTSTRAP" if settings.kafka_bootstrap else start
    return UnavailableError(f"The broker at {settings.bootstrap} does not answer ({error.str()}): {remedy}.")
