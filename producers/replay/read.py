"""Read ranges of all partitions of a topic, each at its own pace, with bounded memory.

One consumer; a partition that is ahead of the others is paused until its records are asked for.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from pipeline.codec.headers import readable_headers
from pipeline.errors import ListeningError, RefusedError, UnavailableError
from pipeline.settings import Settings
from producers.interrupt import Interrupt
from producers.replay.records import Record

ANSWER_SECONDS = 30.0
"""How long the broker may take for one answer, and for the next records."""
SETTLE_SECONDS = 1.0
"""A log must not have grown for so long before a command that was killed goes on."""
AT_ONCE = 4_000
"""Records taken from the client at a time."""
HELD, HELD_BYTES = 100_000, 64 << 20
"""Over all partitions: a partition that holds its share of either, records or bytes of values, is paused."""
_STILL_MOVING = {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART}
_KINDS = {TIMESTAMP_LOG_APPEND_TIME: "LogAppendTime", TIMESTAMP_CREATE_TIME: "CreateTime"}


class Reader:
    """The records of `topic` with starts[p] <= offset < ends[p]. Not thread-safe; made by `reading`.

    `append_time`: which kind of time the records must have; None: any.
    """

    def __init__(
        self,
        consumer: Any,
        topic: str,
        starts: Sequence[int],
        ends: Sequence[int],
        append_time: bool | None,
        interrupt: Interrupt,
    ) -> None:
        self._consumer, self._topic, self._ends = consumer, topic, list(ends)
        self._interrupt = interrupt
        self._kind = None if append_time is None else TIMESTAMP_LOG_APPEND_TIME if append_time else TIMESTAMP_CREATE_TIME
        self._held: list[list[Record]] = [[] for _ in ends]
        self._left = {p for p, (start, end) in enumerate(zip(starts, ends, strict=True)) if start < end}
        self._paused: set[int] = set()
        self._bytes = [0] * len(ends)
        consumer.assign([TopicPartition(topic, partition, starts[partition]) for partition in sorted(self._left)])

    def partition(self, partition: int) -> Iterator[Record]:
        """One partition's records, in order. Raises RefusedError where they are gone or of another kind of time,
        UnavailableError if the broker sends nothing for 30 s, KeyboardInterrupt for a Ctrl-C."""
        while True:
            while not self._held[partition] and partition in self._left:
                self._fill(partition)
            records, self._held[partition], self._bytes[partition] = self._held[partition], [], 0
            if not records:
                return
            yield from records

    def _fill(self, wanted: int) -> None:
        """Take in what comes, until it is something of `wanted` or that partition's end."""
        if wanted in self._paused:
            self._paused.discard(wanted)
            self._consumer.resume([TopicPartition(self._topic, wanted)])
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self._held[wanted] and wanted in self._left:
            self._interrupt.check()
            for message in self._consumer.consume(AT_ONCE, timeout=0.2):
                self._take(message)
            self._pause()
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"{self._topic} partition {wanted} gave nothing for {ANSWER_SECONDS:.0f} s: see that the broker is up, "
                    "then run the same command again."
                )

    def _take(self, message: Any) -> None:
        partition, offset = message.partition(), message.offset()
        if (error := message.error()) is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                raise _sentence(self._topic, error)
            passed = offset  # of the end: what lies below it and never came holds no record
        else:
            passed = offset + 1
            if offset < self._ends[partition]:
                kind, appended_at = message.timestamp()
                if self._kind is not None and kind != self._kind and (kind in _KINDS or self._kind != TIMESTAMP_CREATE_TIME):
                    raise self._other_time(partition, offset, kind)
                value = message.value()
                self._held[partition].append(
                    Record(appended_at, partition, offset, message.key(), value, readable_headers(message))
                )
                self._bytes[partition] += len(value or b"")
        if passed >= self._ends[partition] and partition in self._left:
            self._left.discard(partition)
            self._paused.discard(partition)
            self._consumer.incremental_unassign([TopicPartition(self._topic, partition)])

    def _pause(self) -> None:
        records, size = HELD // len(self._ends), HELD_BYTES // len(self._ends)
        full = [p for p in self._left - self._paused if len(self._held[p]) >= records or self._bytes[p] >= size]
        if full:
            self._consumer.pause([TopicPartition(self._topic, partition) for partition in full])
            self._paused.update(full)

    def _other_time(self, partition: int, offset: int, found: int) -> RefusedError:
        return RefusedError(
            f"{self._topic} holds {_KINDS.get(found, 'no time')} at partition {partition}, offset {offset}, and "
            f"{_KINDS[self._kind or 0]} was expected: set LISTENING_APPEND_TIME to what that run began with."
        )


@contextmanager
def reading(
    settings: Settings,
    topic: str,
    starts: Sequence[int],
    ends: Sequence[int],
    interrupt: Interrupt,
    *,
    append_time: bool | None = None,
) -> Iterator[Reader]:
    """A reader that is closed at the end."""
    consumer = _consumer(settings)
    try:
        yield Reader(consumer, topic, starts, ends, append_time, interrupt)
    except KafkaException as error:
        raise _sentence(topic, error.args[0]) from error
    finally:
        consumer.close()


def bounds(settings: Settings, topic: str) -> list[tuple[int, int]]:
    """First offset that is there and the one after the last, by partition; empty where there is no such topic.

    Raises UnavailableError.
    """
    consumer = _consumer(settings)
    try:
        partitions = consumer.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic].partitions
        return [_bounds(consumer, TopicPartition(topic, partition)) for partition in sorted(partitions)]
    except KafkaException as error:
        raise _sentence(topic, error.args[0]) from error
    finally:
        consumer.close()


def settled(settings: Settings, topic: str) -> list[int]:
    """The topic's ends, once it has not grown for a second: requests of a command that was killed may still be with the
    broker. Raises UnavailableError."""
    ends: list[int] | None = None
    while ends != (now := [high for _low, high in bounds(settings, topic)]):
        ends = now
        time.sleep(SETTLE_SECONDS)
    return now


def _bounds(consumer: Any, place: TopicPartition) -> tuple[int, int]:
    """A topic that was just made may not have its leader yet: asked again, bounded."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            low, high = consumer.get_watermark_offsets(place, timeout=ANSWER_SECONDS)
            return low, high
        except KafkaException as error:
            if error.args[0].code() not in _STILL_MOVING or time.monotonic() > deadline:
                raise
        consumer.poll(0.05)


def _consumer(settings: Settings) -> Any:
    return Consumer(
        {
            "bootstrap.servers": settings.bootstrap,
            "group.id": f"{settings.run}.repartition",  # never joined: partitions are assigned by hand, nothing is committed
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_uncommitted",
            "enable.partition.eof": True,
            "check.crcs": True,
            "queued.max.messages.kbytes": 32 << 10,
            "log_level": 0,
        }
    )


def _sentence(topic: str, error: Any) -> ListeningError:
    if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
        return RefusedError(f"{topic} lost records while it was read: it was cut or made anew; begin again with a new run.")
    return UnavailableError(
        f"{topic} can't be read ({error.str()}): see that the broker is up (`listening up`, LISTENING_KAFKA_BOOTSTRAP), "
        "then run the same command again."
    )
