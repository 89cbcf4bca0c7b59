"""Ticks: time in the log. A tick of T says that everything of the producer's clock before T has been sent."""

from typing import Any

from pipeline.codec.headers import TICK_HEADER
from pipeline.settings import Settings
from pipeline.topics import topics_of
from producers.interrupt import Interrupt
from producers.publish.clients import flush, gave_up, kafka_producer


class Ticker:
    """Writes ticks. Its producer is its own, so that ticks travel in record batches of their own."""

    def __init__(self, settings: Settings, interrupt: Interrupt) -> None:
        self._settings, self._interrupt = settings, interrupt
        self._topic = topics_of(settings).events
        self._producer = kafka_producer(settings)

    def tick(self, clock: int) -> None:
        """Write a tick of this instant (epoch ms), dated so, to every partition; returns when the broker has them all.

        Flush the events before. Raises UnavailableError.
        """
        errors: list[Any] = []

        def answered(error: Any, _message: Any) -> None:
            if error is not None:
                errors.append(error)

        for partition in range(self._topic.partitions):
            headers = [(TICK_HEADER, b"%d" % clock)]
            self._producer.produce(self._topic.name, None, None, partition, answered, timestamp=clock, headers=headers)
        flush(self._producer, self._settings, self._interrupt)
        if errors:
            raise gave_up(self._settings, f"did not take a tick ({errors[0].str()})")
