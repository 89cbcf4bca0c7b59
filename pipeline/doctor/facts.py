"""Facts about a Kafka cluster and the run's topics, as they were asked: what the checks judge."""

from dataclasses import dataclass, field

from pipeline.codec.headers import PlaysHeaders


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker and its settings by name."""

    id: int
    address: str
    config: dict[str, str]


@dataclass(frozen=True, slots=True)
class Cluster:
    """`controller`: the id of the broker that answers for it, None where there is none."""

    id: str
    controller: int | None
    brokers: tuple[Broker, ...]


@dataclass(frozen=True, slots=True)
class Partition:
    """`leader` is -1 where nobody leads; `in_sync` of `replicas` hold everything that was acknowledged."""

    leader: int
    replicas: int
    in_sync: int


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is. `inherited`: settings that it doesn't hold itself but has from the broker. `id`: Kafka's own."""

    name: str
    id: str
    partitions: tuple[Partition, ...]
    config: dict[str, str]
    inherited: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Offsets of a partition's log: the first that is there, and the one after the last."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group: whether anybody is in it, and (topic, partition) → the committed offset."""

    at_work: bool = False
    committed: dict[tuple[str, int], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Newest:
    """Partition → headers of its newest valid `plays` record, missing where the log's end holds none.

    `nameless`: partitions that hold records, of which none of the last `looked_at` is valid.
    """

    headers: dict[int, PlaysHeaders]
    nameless: tuple[int, ...] = ()
    looked_at: int = 0
