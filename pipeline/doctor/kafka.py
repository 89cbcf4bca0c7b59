"""Asks a Kafka cluster, read-only, every answer within a bound: no group is joined, nothing is committed or altered."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from confluent_kafka import ConsumerGroupState, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ConfigSource, OffsetSpec, ResourceType

from pipeline.doctor.bounded import Bounded
from pipeline.doctor.facts import Bounds, Broker, Cluster, Group, Newest, Partition, TopicState
from pipeline.doctor.tails import newest_valid, quiet_consumer
from pipeline.errors import UnavailableError
from pipeline.settings import Settings
from pipeline.topics import group_of, topics_of

REACH_SECONDS = 3.0
"""How long a broker may take for its first answer."""
_NOBODY = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)
STAGES = ("classify", "rank", "sink")


class Kafka:
    """A cluster that answered. All methods raise UnavailableError with a reason; each question is asked once."""

    def __init__(self, settings: Settings) -> None:
        """Raises UnavailableError where no broker answers within REACH_SECONDS."""
        self.settings = settings
        self._client: Any = AdminClient({"bootstrap.servers": settings.bootstrap, "log_level": 0})
        try:
            self._metadata = self._client.list_topics(timeout=REACH_SECONDS)
        except KafkaException:
            raise UnavailableError(f"no Kafka broker answers at {settings.bootstrap}") from None
        if not self._metadata.brokers:
            raise UnavailableError(f"the Kafka broker at {settings.bootstrap} is still starting")
        self.bounded = Bounded(settings.bootstrap)

    @cached_property
    def cluster(self) -> Cluster:
        described = self.bounded.asked(
            "the cluster", lambda s: self._client.describe_cluster(request_timeout=s).result(s + 1)
        )
        names = {node.id: ConfigResource(ResourceType.BROKER, str(node.id)) for node in described.nodes}
        configs = {number: self._config(resource) for number, resource in names.items()}
        return Cluster(
            described.cluster_id,
            described.controller.id if described.controller else None,
            tuple(
                Broker(
                    node.id,
                    f"{node.host}:{node.port}",
                    {name: entry.value or "" for name, entry in configs[node.id].items()},
                )
                for node in sorted(described.nodes, key=lambda node: node.id)
            ),
        )

    @cached_property
    def topics(self) -> dict[str, TopicState]:
        """The run's topics that exist, by name."""
        names = [topic.name for topic in topics_of(self.settings).all() if self._exists(topic.name)]
        ids = self._each(
            "topic ids", lambda s: self._client.describe_topics(TopicCollection(names), request_timeout=s) if names else {}
        )
        return {name: self._topic(name, str(ids[name].topic_id)) for name in names}

    @cached_property
    def bounds(self) -> dict[tuple[str, int], Bounds]:
        """(topic, partition) → bounds, of the run's topics that exist."""
        asked = [(name, number) for name, topic in self.topics.items() for number in range(len(topic.partitions))]
        low, high = (self._offsets(asked, spec) for spec in (OffsetSpec.earliest(), OffsetSpec.latest()))
        return {entry: Bounds(low[entry].offset, high[entry].offset) for entry in asked}

    def ends(self) -> dict[tuple[str, int], int]:
        """(topic, partition) → the offset after the last, asked now: no position that was read before can be ahead of it."""
        found = self._offsets(self.bounds, OffsetSpec.latest())
        return {entry: answer.offset for entry, answer in found.items()}

    @cached_property
    def newest_times(self) -> dict[int, int]:
        """Source partition → timestamp of its newest record, epoch ms; missing where it holds none."""
        events = topics_of(self.settings).events.name
        asked = [(events, number) for number in range(len(self.topics[events].partitions))] if events in self.topics else []
        found = self._offsets(asked, OffsetSpec.max_timestamp())
        return {number: entry.timestamp for (_, number), entry in found.items() if entry.offset >= 0 and entry.timestamp > 0}

    @cached_property
    def groups(self) -> dict[str, Group]:
        """Stage (`classify`, `rank`, `sink`) → its group; an empty one where the broker has none of that name."""
        names = {stage: group_of(self.settings, stage) for stage in STAGES}
        listing = self._client.list_consumer_groups
        listed = self.bounded.asked("groups", lambda s: _of_all(listing(request_timeout=s).result(s + 1)))
        # Not describe_consumer_groups: whether somebody is in it shows here, without a question to a coordinator.
        groups = {
            group.group_id: Group(group.state not in _NOBODY, self._committed(group.group_id))
            for group in listed
            if group.group_id in names.values()
        }
        return {stage: groups.get(name, Group()) for stage, name in names.items()}

    def _committed(self, group: str) -> dict[tuple[str, int], int]:
        # By a consumer that never joins: the admin client's list_consumer_group_offsets ends the process with a segmentation
        # fault where the group's coordinator is just being loaded (librdkafka issue 5040, seen here with 2.16).
        asked = [TopicPartition(*entry) for entry in self.bounds]
        with quiet_consumer(self.settings.bootstrap, group) as consumer:
            found = self.bounded.asked(f"the offsets of {group}", lambda s: _whole(consumer.committed(asked, timeout=s)))
        return {(at.topic, at.partition): at.offset for at in found if at.offset >= 0}

    @cached_property
    def newest_plays(self) -> Newest:
        """The newest valid `plays` record of each partition."""
        plays = topics_of(self.settings).plays.name
        ranges = {number: bounds for (topic, number), bounds in self.bounds.items() if topic == plays}
        return newest_valid(self.settings.bootstrap, plays, ranges, self.bounded.left)

    def _exists(self, name: str) -> bool:
        return name in self._metadata.topics and self._metadata.topics[name].error is None

    def _topic(self, name: str, topic_id: str) -> TopicState:
        entries = self._config(ConfigResource(ResourceType.TOPIC, name))
        states = self._metadata.topics[name].partitions
        return TopicState(
            name,
            topic_id,
            tuple(Partition(states[at].leader, len(states[at].replicas), len(states[at].isrs)) for at in sorted(states)),
            {setting: entry.value or "" for setting, entry in entries.items()},
            frozenset(s for s, entry in entries.items() if _source(entry) != ConfigSource.DYNAMIC_TOPIC_CONFIG),
        )

    def _config(self, resource: Any) -> dict[str, Any]:
        what = f"the settings of {resource.restype.name.lower()} {resource.name}"
        found: dict[str, Any] = self._each(what, lambda s: self._client.describe_configs([resource], request_timeout=s))[
            resource
        ]
        return found

    def _offsets(self, asked: Iterable[tuple[str, int]], spec: Any) -> dict[tuple[str, int], Any]:
        request = {TopicPartition(topic, number): spec for topic, number in asked}
        found = self._each("offsets", lambda s: self._client.list_offsets(request, request_timeout=s) if request else {})
        return {(at.topic, at.partition): answer for at, answer in found.items()}

    def _each(self, what: str, ask: Callable[[float], Mapping[Any, Any]]) -> dict[Any, Any]:
        return self.bounded.asked(what, lambda s: {key: future.result(s + 1) for key, future in ask(s).items()})


def _of_all(listed: Any) -> list[Any]:
    """The groups that all brokers listed. Raises KafkaException where one gave none: its groups would seem not to exist."""
    for error in listed.errors:
        raise error if isinstance(error, KafkaException) else KafkaException(error)
    valid: list[Any] = listed.valid
    return valid


def _whole(found: list[Any]) -> list[Any]:
    """Raises KafkaException where a part of the answer is an error."""
    for entry in found:
        if entry.error is not None:
            raise KafkaException(entry.error)
    return found


def _source(entry: Any) -> Any:
    """Where a setting comes from: confluent-kafka gives a bare number."""
    return ConfigSource(entry.source) if isinstance(entry.source, int) else entry.source
