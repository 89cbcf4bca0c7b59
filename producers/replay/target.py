"""The new log: records at exactly the places that they were given, ticks behind everything before them.

Each record's offset follows from how many came before it. What lies there already, after a command that was killed, is
compared and not written again; of everything else the broker's answer must name the place that was expected.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from confluent_kafka import KafkaException

from pipeline.codec.headers import TICK_HEADER
from pipeline.errors import ListeningError, RefusedError, UnavailableError
from pipeline.settings import Settings
from pipeline.topics import topics_of
from producers.interrupt import Interrupt
from producers.publish.clients import INTERRUPT_SECONDS, kafka_producer
from producers.replay.checkpoint import begin_again
from producers.replay.read import ANSWER_SECONDS, reading
from producers.replay.records import Record, same_content

SILENT_SECONDS = 60.0
"""How long the broker may acknowledge nothing."""
POLL_EVERY = 500
CLIENT_RESOLUTION = 0.002
"""The client waits whole milliseconds; shorter waits are slept."""
_PROPERTIES = {
    # No record may be given up while later ones are sent, or these would lie where it belongs: we end, the record doesn't.
    "message.timeout.ms": 0,
    "enable.gapless.guarantee": True,
    "message.max.bytes": 64 << 20,  # of one record; the topic's limit is on what is left of it compressed
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 64 << 10,
}


class Target:
    """Writes the new run's `playback-events`. Not thread-safe; use it as a context manager."""

    def __init__(
        self,
        settings: Settings,
        written: list[int],
        present: list[int],
        interrupt: Interrupt,
        *,
        command: str = "repartition",
    ) -> None:
        """`written`: by partition, how many records are known to be right; `present`: how many lie there.

        `command`: whose copy it is, for the sentence that says how to begin again.
        """
        self._settings, self._interrupt, self._command = settings, interrupt, command
        self._topic = topics_of(settings).events.name
        self._next, self._present = list(written), present
        self._acknowledged = list(present)
        self._failure: ListeningError | None = None
        # Ticks have a producer of their own, so that they travel in record batches of their own.
        self._records, self._ticks = (kafka_producer(settings, _PROPERTIES | {"on_delivery": self._answered}) for _ in "rt")
        self._unpolled = 0
        self._open = ExitStack()
        self._tail: list[Iterator[Record]] = []
        self.compared = 0
        """Records that lay there already."""

    @property
    def written(self) -> list[int]:
        """By partition, the offset that the next record gets."""
        return list(self._next)

    def connect(self) -> None:
        """Return when the broker is connected to, so that the first records needn't wait for it. Raises UnavailableError."""
        for producer in (self._records, self._ticks):
            try:
                producer.list_topics(self._topic, timeout=ANSWER_SECONDS)
            except KafkaException as error:
                raise self._gave_up(error.args[0].str()) from error

    def lies_there(self, partition: int) -> bool:
        """Whether the partition's next record is one that will be compared, not written."""
        return self._next[partition] < self._present[partition]

    def put(self, partition: int, record: Record, *, apart: bool = False) -> int:
        """Hand over a record with its key, value, headers and broker time; the offset that it gets.

        `apart`: in a record batch with none but others of its kind, behind everything before it and before everything
        after it, as ticks travel. Raises RefusedError where something else lies there, UnavailableError where the broker
        stops answering.
        """
        offset = self._next[partition]
        self._next[partition] = offset + 1
        if offset < self._present[partition]:
            self._compare(partition, offset, record)
        else:
            producer, other = (self._ticks, self._records) if apart else (self._records, self._ticks)
            if len(other):
                self._flush(other)
            self._produce(producer, partition, record)
        return offset

    def tick(self, clock: int, appended_at: int) -> None:
        """Write a tick (epoch ms) to every partition, dated by `appended_at`, behind everything that was put before it."""
        self._flush(self._records)
        record = Record(appended_at, -1, -1, None, None, [(TICK_HEADER, b"%d" % clock)])
        for partition, offset in enumerate(self._next):
            self._next[partition] = offset + 1
            if offset < self._present[partition]:
                self._compare(partition, offset, record)
            else:
                self._produce(self._ticks, partition, record)
        self._flush(self._ticks)

    def serve(self, seconds: float) -> None:
        """Wait so long, and take in answers meanwhile. Raises as `flush`."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._ticks.poll(0)
            if left < CLIENT_RESOLUTION:
                time.sleep(left)
            else:
                self._records.poll(min(left, INTERRUPT_SECONDS))
            self._check()

    def flush(self) -> None:
        """Return when the broker has everything, each at its place. Raises UnavailableError, RefusedError."""
        self._flush(self._records)
        self._flush(self._ticks)

    def end(self) -> None:
        """Flush; RefusedError where the new log holds more than was put."""
        self.flush()
        for partition, (reached, present) in enumerate(zip(self._next, self._present, strict=True)):
            if reached < present:
                raise self._not_ours(partition, reached)

    def _produce(self, producer: Any, partition: int, record: Record) -> None:
        self._unpolled += 1
        if self._unpolled >= POLL_EVERY:
            self._unpolled = 0
            producer.poll(0)
            self._check()
        # librdkafka takes the time 0 for none; nothing that the rules say depends on this millisecond of 1970.
        stamp = record.appended_at or 1
        while True:
            try:
                producer.produce(
                    self._topic, record.value, record.key, partition, timestamp=stamp, headers=record.headers or None
                )
                return
            except BufferError:
                self._serve(producer, len(producer) - 1)
            except KafkaException as error:
                self._check()
                raise self._gave_up(error.args[0].str()) from error

    def _answered(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failure = self._failure or self._gave_up(error.str())
            return
        partition, offset = message.partition(), message.offset()
        if offset != self._acknowledged[partition]:
            self._failure = self._failure or self._not_ours(partition, self._acknowledged[partition])
        self._acknowledged[partition] = offset + 1

    def _flush(self, producer: Any) -> None:
        if len(producer):
            self._serve(producer, 0)
        self._check()

    def _serve(self, producer: Any, most: int) -> None:
        """Wait until at most so many records are unanswered."""
        left, deadline = len(producer), time.monotonic() + SILENT_SECONDS
        while left > most:
            if most:
                producer.poll(INTERRUPT_SECONDS)
            else:
                producer.flush(INTERRUPT_SECONDS)
            self._check()
            if len(producer) < left:
                left, deadline = len(producer), time.monotonic() + SILENT_SECONDS
            elif time.monotonic() > deadline:
                raise self._gave_up(f"nothing acknowledged for {SILENT_SECONDS:.0f} s")

    def _check(self) -> None:
        self._interrupt.check()
        if self._failure is not None:
            raise self._failure

    def _compare(self, partition: int, offset: int, record: Record) -> None:
        if not self._tail:
            reader = self._open.enter_context(
                reading(self._settings, self._topic, self._next_before(partition), self._present, self._interrupt)
            )
            self._tail = [reader.partition(number) for number in range(len(self._present))]
        found = next(self._tail[partition], None)
        if found is None or found.offset != offset or not same_content(found, _as_dated(record)):
            raise self._not_ours(partition, offset)
        self.compared += 1

    def _next_before(self, partition: int) -> list[int]:
        """Where the tail begins: nothing was compared yet, and of `partition` the next was just taken."""
        return [offset - (number == partition) for number, offset in enumerate(self._next)]

    def _not_ours(self, partition: int, offset: int) -> RefusedError:
        run = self._settings.run
        return RefusedError(
            f"{self._topic} partition {partition} holds something else at offset {offset} than the copy would: somebody "
            f"else writes to run {run}, or it was changed; stop that, {begin_again(run, self._command)}"
        )

    def _gave_up(self, what: str) -> UnavailableError:
        return UnavailableError(
            f"Kafka at {self._settings.bootstrap} takes no more of {self._topic} ({what}): see that the broker is up, "
            "then run the same command again, it goes on where it stopped."
        )

    def __enter__(self) -> "Target":
        return self

    def __exit__(self, *_: object) -> None:
        for producer in (self._records, self._ticks):
            producer.purge()
        self._open.close()


def _as_dated(record: Record) -> Record:
    return record._replace(appended_at=record.appended_at or 1)
