"""What Kafka tells of a run: ends of its topics, positions of its groups, who is at work, and the dead letters.

Read-only, every answer within a bound, by clients that are kept while somebody looks.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from confluent_kafka import ConsumerGroupState, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from pipeline.api.letters import LetterFold
from pipeline.doctor.bounded import Bounded
from pipeline.doctor.facts import Bounds
from pipeline.doctor.tails import quiet_consumer
from pipeline.errors import UnavailableError
from pipeline.settings import Settings
from pipeline.topics import Topic, group_of, topics_of

STAGES = ("classify", "rank")
"""Groups with members; the sink's positions are known in this process."""
_NOBODY = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)
LOOK_SECONDS = 2.0
"""A look takes no longer, and so a store that ends while it looks."""
Place = tuple[str, int]
"""Topic and partition."""


@dataclass(frozen=True, slots=True)
class KafkaFacts:
    """`bounds` of each (topic, partition); `committed`: stage → the positions of its group; `at_work`: stages with a
    member; `letters`: in the dead-letter queue, `reasons` of those that were read."""

    bounds: dict[Place, Bounds]
    committed: dict[str, dict[Place, int]]
    at_work: frozenset[str]
    letters: int
    reasons: dict[str, int]

    def behind(self, topic: Topic, stage: str, known: dict[int, int] | None = None) -> dict[int, int]:
        """Partition → records that wait for the stage. `known`: partition → a position that it has passed for sure."""
        found = {}
        for number in range(topic.partitions):
            bounds = self.bounds[topic.name, number]
            next_ = max(self.committed[stage].get((topic.name, number), 0), (known or {}).get(number, 0), bounds.low)
            found[number] = max(0, bounds.high - next_)
        return found


class KafkaLook:
    """Called, it looks. To be called and closed by one thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._topics = settings, topics_of(settings)
        self._clients = ExitStack()
        self._admin: Any = None
        self._consumers: dict[str, Any] = {}
        self._letters = LetterFold(settings)

    def __call__(self) -> KafkaFacts:
        """Raises UnavailableError where Kafka does not answer in time."""
        try:
            return self._look()
        except UnavailableError:
            self.close()  # a client that was told nonsense by a starting broker would go on to believe it
            raise

    def close(self) -> None:
        """Give the clients up; the next look has new ones."""
        self._letters.close()
        self._clients.close()
        self._consumers.clear()
        self._admin = None

    def _look(self) -> KafkaFacts:
        bounded = Bounded(self._settings.bootstrap, LOOK_SECONDS)
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self._settings.bootstrap, "log_level": 0})
        # Positions before ends: so no position can be ahead of its end.
        committed = {
            "classify": self._committed(bounded, "classify", [self._topics.events]),
            "rank": self._committed(bounded, "rank", [self._topics.plays, self._topics.counts]),
        }
        places = [
            (topic.name, number)
            for topic in (self._topics.events, self._topics.plays, self._topics.counts, self._topics.dlq)
            for number in range(topic.partitions)
        ]
        low, high = (self._offsets(bounded, places, spec) for spec in (OffsetSpec.earliest(), OffsetSpec.latest()))
        bounds = {place: Bounds(low[place], high[place]) for place in places}
        letters = {number: one for (topic, number), one in bounds.items() if topic == self._topics.dlq.name}
        self._letters.read(letters)
        return KafkaFacts(
            bounds,
            committed,
            self._at_work(bounded),
            sum(one.high - one.low for one in letters.values()),
            self._letters.reasons,
        )

    def _committed(self, bounded: Bounded, stage: str, topics: Iterable[Topic]) -> dict[Place, int]:
        # By a consumer that never joins, as pipeline/doctor/kafka.py: the admin client's question can end the process.
        group = group_of(self._settings, stage)
        if stage not in self._consumers:
            self._consumers[stage] = self._clients.enter_context(quiet_consumer(self._settings.bootstrap, group))
        asked = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
        consumer = self._consumers[stage]
        found = bounded.asked(f"the offsets of {group}", lambda seconds: consumer.committed(asked, timeout=seconds))
        return {(at.topic, at.partition): at.offset for at in found if at.error is None and at.offset >= 0}

    def _offsets(self, bounded: Bounded, places: Iterable[Place], spec: Any) -> dict[Place, int]:
        request = {TopicPartition(*place): spec for place in places}

        def ask(seconds: float) -> dict[Any, Any]:
            futures = self._admin.list_offsets(request, request_timeout=seconds)
            return {place: future.result(seconds + 1) for place, future in futures.items()}

        return {(at.topic, at.partition): answer.offset for at, answer in bounded.asked("offsets", ask).items()}

    def _at_work(self, bounded: Bounded) -> frozenset[str]:
        def ask(seconds: float) -> Any:
            listed = self._admin.list_consumer_groups(request_timeout=seconds).result(seconds + 1)
            for error in listed.errors:  # a broker that gave none: its groups would seem not to exist
                raise error if isinstance(error, KafkaException) else KafkaException(error)
            return listed.valid

        states = {group.group_id: group.state for group in bounded.asked("groups", ask)}
        return frozenset(stage for stage in STAGES if states.get(group_of(self._settings, stage), _NOBODY[0]) not in _NOBODY)
