"""One topic's sink: consume ─► rows ─► insert ─► commit.

1. start at the committed offsets (positions.py)
2. read records into rows; a record that is none of ours is passed over and counted
3. insert, a table at a time; what the store can't take now is offered again, for ever, without a commit
4. only then commit, with what the reader resumes from as metadata
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import stamina
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from pipeline.errors import RefusedError, UnavailableError
from pipeline.settings import Settings
from pipeline.store.pending import Pending
from pipeline.store.positions import Committed, Start, start_of
from pipeline.store.records import Reader, Record
from pipeline.store.writer import WriteLaterError, Writer
from pipeline.topics import Topic, group_of

KAFKA_SECONDS = 30.0
IDLE_SECONDS = 0.1
GONE = (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET)
NO_TOPIC = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION)


@dataclass
class Progress:
    """What a sink tells others: written by its thread, read by any."""

    topic: str
    consuming: threading.Event = field(default_factory=threading.Event)
    next: dict[int, int] = field(default_factory=dict)
    """Partition → committed position in the topic."""
    end: dict[int, int] = field(default_factory=dict)
    ignored: int = 0
    """Records passed over because they are none of ours."""
    rows: int = 0
    trouble: str = ""

    @property
    def lag(self) -> int:
        """Records of the topic not yet committed, as of the last fetch."""
        return sum(max(0, end - self.next.get(partition, 0)) for partition, end in self.end.items())


class Sink:
    """Sinks one topic; `run` is the body of its thread."""

    def __init__(
        self,
        settings: Settings,
        topic: Topic,
        reader: Reader,
        writer: Writer,
        is_held: Callable[[int, Committed], bool],
        stop: threading.Event,
    ) -> None:
        self._topic, self._reader, self._writer, self._is_held, self._stop = topic, reader, writer, is_held, stop
        self.progress = Progress(topic.name)
        self._consumer: Any = Consumer(
            {
                "bootstrap.servers": settings.bootstrap,
                "group.id": group_of(settings, "sink"),  # for its committed offsets only: partitions are assigned
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_uncommitted",
                # At most so much decompressed in memory besides the record at hand: 16 MiB is one largest record.
                "fetch.message.max.bytes": 2 << 20,
                "fetch.max.bytes": 16 << 20,
                "queued.max.messages.kbytes": 8 << 10,
                "fetch.queue.backoff.ms": 20,
                "fetch.wait.max.ms": 100,
                "max.poll.interval.ms": 86_400_000,  # a long retry is no reason to leave the log
                "log_level": 3,
            }
        )

    def run(self) -> None:
        """Until asked to stop. Raises RefusedError or UnavailableError, and whatever else is a defect."""
        try:
            self._assign()
            pending = Pending()
            while not self._stop.is_set():
                due = pending.due_in(time.monotonic())
                if due == 0.0:
                    self._flush(pending)
                    pending = Pending()
                    continue
                self._take(self._consumer.poll(min(IDLE_SECONDS, due) if due else IDLE_SECONDS), pending)
        except KafkaException as error:
            raise UnavailableError(f"{self._topic.name}: Kafka answered {error.args[0].str()}") from error
        finally:
            self._consumer.close()

    def _assign(self) -> None:
        asked = [TopicPartition(self._topic.name, partition) for partition in range(self._topic.partitions)]
        assigned, rewound = [], []
        for entry in self._consumer.committed(asked, timeout=KAFKA_SECONDS):
            start = self._start(entry)
            self._reader.resume(entry.partition, start.metadata)
            self.progress.next[entry.partition] = start.offset
            assigned.append(TopicPartition(self._topic.name, entry.partition, start.offset))
            if start.rewind:
                rewound.append(self._position(entry.partition, start.offset))
        if rewound:
            # Before anything is inserted: a crash after the first insert must not find the old commit and a filled table.
            self._consumer.commit(offsets=rewound, asynchronous=False)
        self._consumer.assign(assigned)
        self.progress.consuming.set()

    def _start(self, entry: Any) -> Start:
        if entry.error is not None:
            raise KafkaException(entry.error)
        low, high = self._consumer.get_watermark_offsets(
            TopicPartition(self._topic.name, entry.partition), timeout=KAFKA_SECONDS
        )
        self.progress.end[entry.partition] = high
        committed = Committed(max(entry.offset, -1), entry.metadata or "")
        is_held = committed.offset > 0 and self._is_held(entry.partition, committed)
        return start_of(self._topic.name, entry.partition, low, high, committed, is_held=is_held)

    def _take(self, message: Any, pending: Pending) -> None:
        if message is None:
            for partition in self.progress.end:
                self._see_end(partition)
            return
        if message.error() is not None:
            self._judge(message)
            return
        record = Record(message.partition(), message.offset(), message.headers() or [], message.value())
        rows = self._reader.read(record)
        if rows is None:
            self.progress.ignored += 1
        pending.add(record.partition, record.offset + 1, rows or [], time.monotonic())

    def _judge(self, message: Any) -> None:
        error = message.error()
        if error.code() in GONE:
            raise RefusedError(
                f"{self._topic.name} partition {message.partition()}: the next record to store is gone, the log was cut; "
                "start a new run by LISTENING_RUN"
            )
        if error.code() in NO_TOPIC:
            raise RefusedError(f"{self._topic.name} was deleted: start a new run by LISTENING_RUN")
        if error.fatal():
            raise UnavailableError(f"{self._topic.name}: {error.str()}")
        self.progress.trouble = error.str()  # librdkafka goes on trying

    def _see_end(self, partition: int) -> None:
        _, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic.name, partition), cached=True)
        if high >= 0:
            self.progress.end[partition] = high

    def _flush(self, pending: Pending) -> None:
        for table, rows in pending.inserts():
            for attempt in stamina.retry_context(
                on=WriteLaterError, attempts=None, timeout=None, wait_initial=0.1, wait_max=5.0, wait_jitter=1.0
            ):
                with attempt:
                    self._write(table, rows)
        positions = [self._position(partition, offset) for partition, offset in pending.positions.items()]
        for attempt in stamina.retry_context(on=_may_pass, attempts=5, timeout=KAFKA_SECONDS):
            with attempt:
                self._consumer.commit(offsets=positions, asynchronous=False)
        self.progress.next.update(pending.positions)
        self.progress.rows += pending.rows
        self.progress.trouble = ""
        for partition in pending.positions:
            self._see_end(partition)

    def _write(self, table: str, rows: Any) -> None:
        if self._stop.is_set():
            raise UnavailableError("asked to stop while the store could not take rows")
        try:
            self._writer.write(table, rows)
        except WriteLaterError as error:
            self.progress.trouble = str(error)
            raise

    def _position(self, partition: int, offset: int) -> Any:
        return TopicPartition(self._topic.name, partition, offset, self._reader.metadata(partition))


def _may_pass(error: Exception) -> bool:
    return isinstance(error, KafkaException) and bool(error.args[0].retriable())
