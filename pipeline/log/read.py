"""Read a range of one partition, blocking: for restores and for looking at the end of a log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import stamina
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from pipeline.codec.headers import RawHeaders, headers_of
from pipeline.errors import RefusedError, UnavailableError, damaged

TIMEOUT_S = 30.0
_FIRST_LOOK, _FARTHER = 4, 16  # records: those of `plays` may have megabytes
_LOOKS = 5
Picked = TypeVar("Picked")


class CutError(RefusedError):
    """A log was cut between looking where it begins and reading from there."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it lies in the log; timestamp in epoch ms. A null value is empty here, and `is_null` says so."""

    offset: int
    timestamp: int
    headers: RawHeaders
    value: bytes
    key: bytes | None = None
    is_null: bool = False


class Log(Protocol):
    """A log to look at: partitions of topics with offsets and dated records."""

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset that is there and the one after the last."""

    def offset_at(self, topic: str, partition: int, timestamp: int) -> int:
        """Offset of the first record dated `timestamp` (epoch ms) or later; the end where there is none."""

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Record]:
        """The records with start <= offset < stop."""


class LogReader:
    """Reads ranges of partitions of any topic, without a group; nothing is ever committed."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset that is there and the one after the last. Raises UnavailableError."""
        try:
            asked = TopicPartition(topic, partition)
            low, high = self._asked(lambda: self._consumer.get_watermark_offsets(asked, timeout=TIMEOUT_S))
        except KafkaException as error:
            raise UnavailableError(f"the bounds of {topic} partition {partition} can't be read: {error}") from error
        return low, high

    def offset_at(self, topic: str, partition: int, timestamp: int) -> int:
        """Offset of the first record dated `timestamp` (epoch ms) or later; the end where there is none."""
        asked = TopicPartition(topic, partition, max(0, timestamp))
        try:
            (answer,) = self._asked(lambda: self._consumer.offsets_for_times([asked], timeout=TIMEOUT_S))
        except KafkaException as error:
            raise UnavailableError(f"{topic} partition {partition} can't be searched by time: {error}") from error
        return answer.offset if answer.offset >= 0 else self.bounds(topic, partition)[1]

    def _asked(self, question: Callable[[], Any]) -> Any:
        """A partition that was just made may have no leader yet."""
        for attempt in stamina.retry_context(on=KafkaException, attempts=5, wait_initial=0.2, wait_max=2.0):
            with attempt:
                return question()
        raise AssertionError("unreachable: the last attempt raises")

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Record]:
        """The records with start <= offset < stop. Raises UnavailableError, CutError where `start` is gone,
        RefusedError where the log is damaged."""
        if start >= stop:
            return
        self._consumer.assign([TopicPartition(topic, partition, start)])
        try:
            while True:
                message = self._consumer.poll(TIMEOUT_S)
                if message is None:
                    raise UnavailableError(f"{topic} partition {partition} gave nothing for {TIMEOUT_S:.0f} s")
                failure = message.error()
                if failure is not None:
                    if failure.code() == KafkaError._PARTITION_EOF:
                        return
                    if failure.code() in (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET):
                        raise CutError(f"{topic} partition {partition}: offset {start} is gone, the log was cut")
                    if failure.code() == KafkaError._BAD_MSG:
                        raise damaged(topic, partition, failure.str())
                    raise UnavailableError(f"{topic} partition {partition}: {failure.str()}")
                offset = message.offset()
                if offset >= stop:
                    return
                value = message.value()
                yield Record(offset, message.timestamp()[1], headers_of(message), value or b"", message.key(), value is None)
                if offset == stop - 1:
                    return
        finally:
            self._consumer.unassign()


def undisturbed(restore: Callable[[], Picked]) -> Picked:
    """What `restore` makes of the logs, anew where one was cut meanwhile: others delete what no reader needs, at any moment,
    and a restore looks at more than it needs. What is left decides; nothing is passed over."""
    for _ in range(_LOOKS - 1):
        with suppress(CutError):
            return restore()
    return restore()


def look_back(
    log: Log, topic: str, partition: int, low: int, high: int, pick: Callable[[Iterator[Record]], Picked | None]
) -> Picked | None:
    """What `pick` finds among the last records of [low, high), further and further back until it finds something."""
    count = _FIRST_LOOK
    while True:
        start = max(low, high - count)
        found = pick(log.read(topic, partition, start, high))
        if found is not None or start == low:
            return found
        count *= _FARTHER


@contextmanager
def log_reader(bootstrap: str, fetch_bytes: int = 16 << 20) -> Iterator[LogReader]:
    """A reader that is closed at the end. `fetch_bytes`: fetched at once, little where only a few records are looked at."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "listening-log-reader",  # required by the client, never used: assign, and no commits
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": "read_uncommitted",
            "check.crcs": True,
            "fetch.message.max.bytes": fetch_bytes,
            "queued.max.messages.kbytes": 4 * fetch_bytes >> 10,
        }
    )
    try:
        yield LogReader(consumer)
    finally:
        consumer.close()
