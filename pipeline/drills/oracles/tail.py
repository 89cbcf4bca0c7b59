"""A topic's records as they come, on a consumer that outlives its broker."""

from typing import Any

from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition

from pipeline.drills.oracles.reading import consumer_of, end_of, partitions_of
from pipeline.settings import Settings

ASK_SECONDS = 0.3
"""How long a broker may take for one answer: one that is stopped must not hold up the sampler."""
AT_ONCE = 1_000
STUCK_LOOKS = 10
"""Looks without a record though there are some: the partition was lost with a broker that came back, assign anew."""
GONE = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})


class Tail:
    """Reads all partitions from their beginnings; `next`: partition → offset of the next record; `gone`: what was lost."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings = settings
        self.topic, self.consumer, self.next = topic, consumer_of(settings), dict[int, int]()
        self.gone = ""
        self._idle = 0

    def open(self) -> bool:
        """Whether the topic is there; from the first time on its records are read. Raises KafkaException."""
        if not self.next:
            self.next = dict.fromkeys(range(partitions_of(self.consumer, self.topic, ASK_SECONDS)), 0)
            self._assign()
        return bool(self.next)

    def take(self, seconds: float) -> list[Any]:
        """Messages that have come, or come within so many seconds. Raises KafkaException."""
        found = []
        for message in self.consumer.consume(AT_ONCE, timeout=seconds):
            if (error := message.error()) is None:
                self.next[message.partition()] = message.offset() + 1
                found.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:  # markers are passed over without a message
                self.next[message.partition()] = max(self.next[message.partition()], message.offset())
            elif error.code() in GONE:
                self.gone = f"{self.topic} lost records while it was watched ({error.str()})"
        return found

    def ends(self) -> dict[int, int]:
        """Partition → the offset after the last record, asked of the broker. Raises KafkaException."""
        return {partition: end_of(self.consumer, self.topic, partition, ASK_SECONDS) for partition in self.next}

    def is_behind(self, ends: dict[int, int]) -> bool:
        return any(self.next[partition] < end for partition, end in ends.items())

    def heed(self, progress: bool, ends: dict[int, int]) -> None:
        """Assign anew where nothing comes though there is something."""
        self._idle = 0 if progress or not self.is_behind(ends) else self._idle + 1
        if self._idle >= STUCK_LOOKS:
            self._idle = 0
            self._assign()

    def reopen(self) -> None:
        """Go on with a new consumer: one that lived through a frozen broker may never hear of it again."""
        self.consumer.close()
        self.consumer = consumer_of(self._settings)
        if self.next:
            self._assign()

    def _assign(self) -> None:
        at = ((partition, offset or OFFSET_BEGINNING) for partition, offset in self.next.items())
        self.consumer.assign([TopicPartition(self.topic, partition, offset) for partition, offset in at])
