"""One topic as the sink reads it: partitions assigned, never subscribed, and a group for its committed offsets only."""

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import stamina
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from pipeline.codec.headers import headers_of
from pipeline.errors import RefusedError, UnavailableError, damaged
from pipeline.settings import Settings
from pipeline.store.positions import Committed
from pipeline.store.records import Record
from pipeline.topics import Topic, group_of

T = TypeVar("T")
KAFKA_SECONDS = 30.0
GONE = frozenset({KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET})
NO_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})
PASSING = frozenset(
    {
        # A new broker makes its offsets topic when it is first asked, and moves coordinators while it does.
        *(KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS),
        *(KafkaError._WAIT_COORD, KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN),
        *(KafkaError.REQUEST_TIMED_OUT, KafkaError.NETWORK_EXCEPTION, KafkaError.LEADER_NOT_AVAILABLE),
        *(KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.NOT_ENOUGH_REPLICAS),
    }
)


class TopicConsumer:
    """A topic's records in the order of each partition. All methods raise UnavailableError where Kafka does not answer."""

    def __init__(self, settings: Settings, topic: Topic) -> None:
        self.topic = topic
        self._heard: str | None = None
        self._consumer: Any = Consumer(
            {
                "bootstrap.servers": settings.bootstrap,
                "group.id": group_of(settings, "sink"),
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_uncommitted",
                "check.crcs": True,
                # What may wait in memory, decompressed; a record that is larger still comes, alone.
                "fetch.message.max.bytes": 1 << 20,
                "fetch.max.bytes": 4 << 20,
                "queued.max.messages.kbytes": 4 << 10,
                "fetch.queue.backoff.ms": 20,
                "fetch.wait.max.ms": 100,
                "max.poll.interval.ms": 86_400_000,  # a long retry is no reason to leave the log
                "error_cb": self._hear,
                "log_level": 0,  # what goes wrong comes as errors, and is said once (sink.py), not ten times a second
            }
        )

    def committed(self) -> dict[int, Committed]:
        """Partition → committed offset and metadata."""

        def ask() -> dict[int, Committed]:
            entries = self._consumer.committed([self._at(p) for p in range(self.topic.partitions)], timeout=KAFKA_SECONDS)
            for entry in entries:
                if entry.error is not None:
                    raise KafkaException(entry.error)
            return {entry.partition: Committed(max(entry.offset, -1), entry.metadata or "") for entry in entries}

        return self._patiently(ask)

    def bounds(self, partition: int) -> tuple[int, int]:
        """First offset that is there, and the one after the last."""
        low, high = self._patiently(lambda: self._consumer.get_watermark_offsets(self._at(partition), timeout=KAFKA_SECONDS))
        return int(low), int(high)

    def end(self, partition: int) -> int | None:
        """The offset after the last record as of the last fetch, None before the first."""
        _, high = self._consumer.get_watermark_offsets(self._at(partition), cached=True)
        return int(high) if high >= 0 else None

    def answers(self, seconds: float) -> bool:
        """Whether the leader of the first partition answers within `seconds`."""
        try:
            self._consumer.get_watermark_offsets(self._at(0), timeout=seconds)
        except KafkaException:
            return False
        return True

    def ends(self, stop: threading.Event) -> dict[int, int]:
        """The offsets after the last records, asked of the brokers; without those that don't answer at once."""
        found = {}
        for partition in range(self.topic.partitions):
            with contextlib.suppress(KafkaException):
                if not stop.is_set():
                    found[partition] = int(self._consumer.get_watermark_offsets(self._at(partition), timeout=0.2)[1])
        return found

    def pause(self) -> None:
        """Read nothing and keep nothing in memory, until `assign` says where to go on: librdkafka's own pause keeps the
        position for us, but a record that is on its way to us then is lost or not, depending on when it is asked for."""
        self._consumer.unassign()

    def assign(self, offsets: Mapping[int, int]) -> None:
        """Start reading, or go on after a pause: partition → offset."""
        self._consumer.assign([self._at(partition, offset) for partition, offset in offsets.items()])

    def poll(self, seconds: float) -> Record | str | None:
        """The next record; None: there was none in time; a text: what keeps Kafka from answering just now.

        Raises RefusedError where the next record is gone, or damaged, or the topic is gone.
        """
        self._heard = None
        message = self._consumer.poll(seconds)
        if message is None:
            return self._heard
        error = message.error()
        if error is None:
            return Record(message.partition(), message.offset(), headers_of(message), message.value())
        if error.code() in GONE:
            low, _ = self.bounds(message.partition())
            raise RefusedError(
                f"{self.topic.name} partition {message.partition()} was cut: it begins at offset {low}, the next record "
                f"to store lay at {message.offset()}; start a new run by LISTENING_RUN and replay the source into it"
            )
        if error.code() in NO_TOPIC:
            raise RefusedError(f"{self.topic.name} was deleted: start a new run by LISTENING_RUN")
        if error.code() == KafkaError._BAD_MSG:  # librdkafka passes it over: what follows would be stored without it
            raise damaged(self.topic.name, message.partition(), error.str())
        if error.fatal():
            raise UnavailableError(f"{self.topic.name}: {error.str()}")
        return str(error.str())

    def commit(self, positions: Mapping[int, Committed]) -> None:
        """Commit offsets of the next records to read, with metadata; returns when the broker has them."""
        entries = [TopicPartition(self.topic.name, partition, at.offset, at.metadata) for partition, at in positions.items()]
        self._patiently(lambda: self._consumer.commit(offsets=entries, asynchronous=False))

    def close(self) -> None:
        self._consumer.close()

    def _hear(self, error: Any) -> None:
        """Called within poll, with what is wrong with the connection as a whole."""
        self._heard = str(error.str())

    def _at(self, partition: int, offset: int | None = None) -> Any:
        return TopicPartition(self.topic.name, partition, *([] if offset is None else [offset]))

    def _patiently(self, ask: Callable[[], T]) -> T:
        try:
            for attempt in stamina.retry_context(on=_passes, attempts=None, timeout=KAFKA_SECONDS, wait_max=2.0):
                with attempt:
                    return ask()
        except KafkaException as error:
            raise UnavailableError(f"{self.topic.name}: Kafka answered {error.args[0].str()}") from error
        raise AssertionError("unreachable")


def _passes(error: Exception) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() in PASSING
