"""Why records were refused: a fold over the headers of the dead-letter queue, so many at a time."""

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from confluent_kafka import KafkaError, TopicPartition

from pipeline.codec.headers import headers_of
from pipeline.doctor.facts import Bounds
from pipeline.doctor.letters import REASON, UNKNOWN
from pipeline.doctor.tails import quiet_consumer
from pipeline.settings import Settings
from pipeline.topics import topics_of

AT_ONCE, POLL_SECONDS = 5_000, 0.05
"""Entries a look, and how long it waits for them."""
MOST_REASONS, OTHER = 32, "other"
"""Anybody may write to a topic: what else is named there counts as other."""


class LetterFold:
    """`reasons`: reason → entries, of those that were read; an entry that a crash repeated counts again."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._topic = settings, topics_of(settings).dlq
        self._clients = ExitStack()
        self._consumer: Any = None
        self._next: dict[int, int] = {}
        self._reasons: Counter[str] = Counter()

    @property
    def reasons(self) -> dict[str, int]:
        return dict(self._reasons)

    def read(self, bounds: Mapping[int, Bounds]) -> None:
        """Read on from where the last look ended, AT_ONCE entries at most. `bounds`: of each partition."""
        behind = {number: one for number, one in bounds.items() if one.high > max(one.low, self._next.get(number, 0))}
        if not behind:
            return
        if self._consumer is None:
            self._consumer = self._clients.enter_context(quiet_consumer(self._settings.bootstrap))
            starts = {number: max(one.low, self._next.get(number, 0)) for number, one in bounds.items()}
            self._consumer.assign([TopicPartition(self._topic.name, number, at) for number, at in starts.items()])
        for message in self._consumer.consume(AT_ONCE, POLL_SECONDS):
            error = message.error()
            if error is None:
                self._take(message)
            elif error.code() != KafkaError._PARTITION_EOF:  # cut meanwhile, or the broker is away: begin again
                self.close()
                return

    def _take(self, message: Any) -> None:
        text = dict(headers_of(message)).get(REASON) or b""
        reason = (text.decode(errors="replace") if isinstance(text, bytes) else str(text))[:40] or UNKNOWN
        known = reason in self._reasons or len(self._reasons) < MOST_REASONS
        self._reasons[reason if known else OTHER] += 1
        self._next[message.partition()] = message.offset() + 1

    def close(self) -> None:
        self._clients.close()
        self._consumer = None
