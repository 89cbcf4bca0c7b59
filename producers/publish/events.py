"""Events to `playback-events`, each with its delivery written down."""

import json
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from pipeline.settings import Settings
from pipeline.topics import topics_of
from producers.interrupt import Interrupt
from producers.ledger import Answers, Status
from producers.publish.clients import DELIVERY_SECONDS, INTERRUPT_SECONDS, flush, gave_up, kafka_producer, unanswered

POLL_EVERY = 500
REPORT_MS = 500
"""How often the client reports its statistics."""

# Errors after which a record is certainly not in the log; after any other it may be.
REFUSALS = frozenset(
    {
        KafkaError._PURGE_QUEUE,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The records of a part, as equally long lists of plain values: a tuple or a callback of its own for each record would
    cost more in garbage collection than all the rest.
    """

    keys: list[bytes]
    values: list[bytes | None]
    partitions: list[int]
    """-1: the key's."""
    dates: list[int]
    """Epoch ms: where the broker doesn't date records itself, that is their broker time."""


class EventPublisher:
    """Publishes encoded events in order. Not thread-safe; callbacks run within `send`, `serve` and `flush`.

    A Ctrl-C raises KeyboardInterrupt in any of them, between records.
    """

    def __init__(self, settings: Settings, interrupt: Interrupt) -> None:
        self._settings, self._interrupt = settings, interrupt
        self._topic = topics_of(settings).events.name
        self._retried = self._reports = 0
        self._producer = kafka_producer(settings, {"statistics.interval.ms": REPORT_MS, "stats_cb": self._note})
        self._answers = Answers.awaited(0)
        self._callbacks: list[Any] = []
        """By row: made once, for whichever part is under way."""

    def send(self, outgoing: Outgoing, count: int, answers: Answers) -> None:
        """Hand the next `count` rows of a part to the producer. Raises UnavailableError where its queue stays full."""
        if answers is not self._answers:
            self._begin(answers)
        first, past = answers.handed, answers.handed + count
        keys, values = outgoing.keys[first:past], outgoing.values[first:past]
        partitions, dates = outgoing.partitions[first:past], outgoing.dates[first:past]
        topic, produce, poll = self._topic, self._producer.produce, self._producer.poll
        row = first - 1
        try:
            for row, callback in enumerate(self._callbacks[first:past], first):
                at = row - first
                try:
                    produce(topic, values[at], keys[at], partitions[at], callback, None, dates[at])
                except BufferError:
                    self._wait_for_room()
                    produce(topic, values[at], keys[at], partitions[at], callback, None, dates[at])
                if not row % POLL_EVERY:
                    self._interrupt.check()
                    poll(0)
        except KafkaException as error:
            raise gave_up(self._settings, f"takes no more events ({error.args[0].str()})") from error
        finally:
            answers.handed = row + 1  # what may have been sent stands in the ledger

    def _begin(self, answers: Answers) -> None:
        """Of the next part are the answers from here on: none of the last one's is still to come."""
        self.flush()
        self._answers = answers
        for row in range(len(self._callbacks), len(answers.status)):
            self._callbacks.append(partial(self._answered, row))

    def _answered(self, row: int, error: Any, message: Any) -> None:
        answers = self._answers
        if error is None:
            answers.status[row] = Status.ACKNOWLEDGED
            answers.partition[row], answers.offset[row] = message.partition(), message.offset()
        elif error.code() in REFUSALS:
            answers.status[row] = Status.FAILED

    def serve(self, seconds: float) -> None:
        """Wait so long, and take in answers meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._interrupt.check()
            self._producer.poll(left)

    def flush(self, seconds: float = DELIVERY_SECONDS + 5) -> None:
        """Wait until every event has been answered. Raises UnavailableError."""
        flush(self._producer, self._settings, self._interrupt, seconds)

    def requests_retried(self) -> int:
        """Produce requests sent again so far, because no answer came; waits for the client's next report, half a second."""
        reports, deadline = self._reports, time.monotonic() + 4 * REPORT_MS / 1000
        while self._reports == reports and time.monotonic() < deadline:
            self._producer.poll(REPORT_MS / 1000)
        return self._retried

    def _note(self, statistics: str) -> None:
        self._retried, self._reports = retries_in(statistics), self._reports + 1

    def _wait_for_room(self) -> None:
        full, deadline = len(self._producer), time.monotonic() + DELIVERY_SECONDS + 5
        while len(self._producer) >= full:
            if time.monotonic() > deadline:
                raise unanswered(self._settings, full)
            self._interrupt.check()
            self._producer.poll(INTERRUPT_SECONDS)


def retries_in(statistics: str) -> int:
    """Requests that were sent again, over all brokers, in librdkafka's statistics (JSON)."""
    return sum(int(broker["txretries"]) for broker in json.loads(statistics)["brokers"].values())
