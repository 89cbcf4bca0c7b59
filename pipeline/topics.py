"""Names of a run's topics and groups, and the topics' settings: the topology in one place.

producers ─► playback-events ─► classify ─► plays ─► count ─► artist-counts ─► rank ─► top-artists
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.settings import Settings

MAX_MESSAGE_BYTES = 16 << 20
"""Largest record of the derived topics, bytes; containers are split well below it."""
MAX_EVENT_RECORD_BYTES = 1 << 20
"""Largest record batch of anybody's events, bytes; an event may have far less (schemas/)."""
FOREVER = "-1"
LONG_MAX = str(2**63 - 1)
VARIABLES = {"message.timestamp.type": "LISTENING_APPEND_TIME"}
"""Where a topic's setting follows from one of ours."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it must be: name, partitions, and the settings that correctness rests on."""

    name: str
    partitions: int
    config: dict[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting of a topic (or its `partitions`) that is other than the run needs. `variable`: ours that it follows from,
    empty where there is none."""

    topic: str
    setting: str
    actual: str
    wanted: str
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one run."""

    events: Topic
    dlq: Topic
    plays: Topic
    counts: Topic
    tops: Topic
    artists: Topic

    def all(self) -> tuple[Topic, ...]:
        return (self.events, self.dlq, self.plays, self.counts, self.tops, self.artists)


def topics_of(settings: Settings) -> Topics:
    """The topics of the run. `events` and `dlq` take any client's records, the others only our own containers."""
    keep = {"cleanup.policy": "delete", "retention.ms": FOREVER, "retention.bytes": FOREVER}
    original = {"max.message.bytes": str(MAX_EVENT_RECORD_BYTES)}
    # The limit is one of batches, after compression: what the source took in small ones may come in a large one here.
    letters = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
    # Derived records are dated by watermark, which a replay puts anywhere in time.
    derived = keep | {
        "message.timestamp.type": "CreateTime",
        "message.timestamp.before.max.ms": LONG_MAX,
        "message.timestamp.after.max.ms": LONG_MAX,
        "max.message.bytes": str(MAX_MESSAGE_BYTES),
    }
    source = (
        keep
        | original
        | (
            {"message.timestamp.type": "LogAppendTime"}
            if settings.append_time
            else {
                "message.timestamp.type": "CreateTime",
                "message.timestamp.before.max.ms": LONG_MAX,
                "message.timestamp.after.max.ms": LONG_MAX,
            }
        )
    )
    run, count = settings.run, settings.partitions
    return Topics(
        events=Topic(f"{run}.playback-events", count, source),
        dlq=Topic(f"{run}.playback-events.dlq", count, keep | letters),
        plays=Topic(f"{run}.plays", count, derived),
        counts=Topic(f"{run}.artist-counts", settings.shards, derived),
        tops=Topic(f"{run}.top-artists", settings.shards, derived),
        artists=Topic(f"{run}.artists", 1, {"cleanup.policy": "compact"}),
    )


def group_of(settings: Settings, stage: str) -> str:
    """The consumer group of a stage: `classify`, `rank` or `sink`."""
    return f"{settings.run}.{stage}"


def differences(settings: Settings, topic: Topic, partitions: int, config: Mapping[str, str]) -> list[Difference]:
    """In what a topic as it is differs from what the run needs; `config` holds its settings by name."""
    found = []
    if partitions != topic.partitions:
        topics = topics_of(settings)
        sharded = topic.name in (topics.counts.name, topics.tops.name)
        variable = "LISTENING_SHARDS" if sharded else "LISTENING_PARTITIONS"
        found.append(Difference(topic.name, "partitions", str(partitions), str(topic.partitions), variable))
    for name, wanted in topic.config.items():
        actual = config.get(name, "")
        # A larger limit loses nothing; everything else changes results or loses data.
        larger = name == "max.message.bytes" and actual.isdecimal() and int(actual) >= int(wanted)
        if actual != wanted and not larger:
            found.append(Difference(topic.name, name, actual, wanted, VARIABLES.get(name, "")))
    return found
