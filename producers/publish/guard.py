"""The guard: two clocks don't mix in one log. A producer whose clock begins in a run's past would only make late events."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

import schemas
from pipeline.codec.events import NotAnEventError, decode
from pipeline.codec.headers import TICK_HEADER, PlaysHeaders, headers_of
from pipeline.codec.known import Known, UndecidedSchemasError
from pipeline.errors import ListeningError, UnavailableError
from pipeline.registry.of_run import open_registry, subject_of
from pipeline.settings import Settings
from pipeline.topics import Topic, topics_of
from producers.scenarios.clock import iso

EVENTS_BACK, PLAYS_BACK = 200, 8
ANSWER_SECONDS = 30.0
OFFSET_TAIL = -2000
"""librdkafka's RD_KAFKA_OFFSET_TAIL_BASE: this - n means n records before the end."""


class ClockError(ListeningError):
    """The producer's clock would begin in the run's past."""


def refuse_another_clock(settings: Settings, start: int) -> None:
    """Raise ClockError, naming both clocks and both remedies, where `start` (epoch ms) lies before watermark - grace."""
    watermark = run_watermark(settings)
    if start < watermark - settings.rules.grace_ms:
        raise ClockError(
            f"Run {settings.run} has already heard of {iso(watermark)}, and this scenario's clock would begin at "
            f"{iso(start)}: nearly all of it would be late. Produce into a fresh run with `--run NAME`, or go on from now "
            "in this one with `--realtime`."
        )


def run_watermark(settings: Settings) -> int:
    """The latest event time that the run has heard of, epoch ms: 0 for a new run. Raises UnavailableError.

    The run's own word (watermarks in `plays`) and what may not have been classified yet (the tail of `playback-events`).
    """
    topics = topics_of(settings)
    consumer = Consumer(
        {
            "bootstrap.servers": settings.bootstrap,
            "group.id": f"{settings.run}.guard",  # required, and never used: partitions are assigned, nothing is committed
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",  # a partition cut so far that its tail is longer than what it holds
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,
            "isolation.level": "read_uncommitted",
            "log_level": 0,
        }
    )
    try:
        known = _known(settings)
        tails = _tails(consumer, [(topics.events, EVENTS_BACK), (topics.plays, PLAYS_BACK)])
        instants = (_event_time(m, known) if m.topic() == topics.events.name else _watermark(m) for m in tails)
        return max(instants, default=0)
    except KafkaException as error:
        raise UnavailableError(
            f"The clock of run {settings.run} could not be read from {settings.bootstrap}: {error}"
        ) from error
    finally:
        consumer.close()


def _tails(consumer: Any, wanted: list[tuple[Topic, int]]) -> Iterator[Any]:
    """The last records, so many, of each partition of these topics, as far as the log reached when it was asked."""
    reading = {(topic.name, partition) for topic, _ in wanted for partition in range(topic.partitions)}
    # Counted from the end by the client, which also waits for the leaders of topics that have just been made.
    starts = {topic.name: OFFSET_TAIL - count for topic, count in wanted}
    consumer.assign([TopicPartition(name, partition, starts[name]) for name, partition in sorted(reading)])
    deadline = time.monotonic() + ANSWER_SECONDS
    while reading:
        message = consumer.poll(max(0.0, deadline - time.monotonic()))
        if message is None:
            names = ", ".join(sorted({name for name, _ in reading}))
            raise UnavailableError(f"The end of {names} could not be read within {ANSWER_SECONDS:.0f} s; is the broker up?")
        if message.error() is None:
            yield message
        elif message.error().code() == KafkaError._PARTITION_EOF:
            reading.discard((message.topic(), message.partition()))
        else:
            raise KafkaException(message.error())


def _known(settings: Settings) -> Known:
    """All versions of the event's schema."""
    known = Known()
    for version in open_registry(settings).versions(subject_of(settings, schemas.EVENTS_SUBJECT)):
        known.learn(version.schema_id, version.text)
    return known


def _event_time(message: Any, known: Known) -> int:
    """What the record moves the watermark to; 0 for one that moves nothing."""
    appended_at = int(message.timestamp()[1])
    if message.value() is None:
        return min(_tick(headers_of(message)), appended_at)
    try:
        played_at: int = decode(message.value(), known).played_at
        return min(played_at, appended_at)
    except (NotAnEventError, UndecidedSchemasError):
        return 0


def _tick(headers: Iterable[tuple[str, bytes | None]]) -> int:
    text = dict(headers).get(TICK_HEADER) or b""
    return int(text) if text.isdigit() else 0


def _watermark(message: Any) -> int:
    headers = PlaysHeaders.valid_at(message.offset(), headers_of(message))
    return headers.watermark if headers else 0
