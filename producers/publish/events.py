"""Events to `playback-events`, each with its delivery written down."""

import json
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from pipeline.settings import Settings
from pipeline.topics import topics_of
from producers.faults.poison import Record
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


class EventPublisher:
    """Publishes encoded events in order. Not thread-safe; callbacks run within `send`, `serve` and `flush`.

    A Ctrl-C raises KeyboardInterrupt in any of them, between records.
    """

    def __init__(self, settings: Settings, interrupt: Interrupt) -> None:
        self._settings, self._interrupt = settings, interrupt
        self._topic = topics_of(settings).events.name
        self._retried = self._reports = 0
        self._producer = kafka_producer(settings, {"statistics.interval.ms": REPORT_MS, "stats_cb": self._note})

    def send(self, records: Sequence[Record], dates: Sequence[int], answers: Answers) -> None:
        """Hand the next rows of a part to the producer, dated so (epoch ms): where the broker doesn't date them itself,
        that is their broker time. Raises UnavailableError where its queue stays full.
        """

        def answered(row: int, error: Any, message: Any) -> None:
            if error is None:
                answers.status[row] = Status.ACKNOWLEDGED
                answers.partition[row], answers.offset[row] = message.partition(), message.offset()
            elif error.code() in REFUSALS:
                answers.status[row] = Status.FAILED

        produce, poll = self._producer.produce, self._producer.poll
        for row, ((key, value, partition), date) in enumerate(zip(records, dates, strict=True), answers.handed):
            answers.handed = row + 1  # before the call: what may have been sent stands in the ledger
            # One call a record: librdkafka's batch call is no faster once each record has a callback of its own.
            try:
                produce(self._topic, value, key, partition, partial(answered, row), timestamp=date)
            except BufferError:
                self._wait_for_room()
                produce(self._topic, value, key, partition, partial(answered, row), timestamp=date)
            except KafkaException as error:
                raise gave_up(self._settings, f"takes no more events ({error.args[0].str()})") from error
            if not row % POLL_EVERY:
                self._interrupt.check()
                poll(0)

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
