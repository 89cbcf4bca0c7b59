"""What the dead-letter queue says of refusals that the log alone can't decide again: a schema was not in the registry then.

A registry's no is an answer at a time. The entry that classify wrote is its evidence; it is believed for ids that the
registry has by now, but never for the embedded registry's first version, which was always there.

An entry comes before its outcome, so it may outlive it: a worker that died between the two, or lost its place to another,
left an entry of a record that was decided anew, when the registry had its schema. Where the store holds an event, no entry
is believed.
"""

from collections.abc import Collection
from typing import Any, TypeAlias

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from pipeline.settings import Settings
from pipeline.topics import topics_of
from pipeline.verify.readlog import ANSWER_SECONDS, consumer_of, headers_of, sentence, silent
from pipeline.verify.rows import Rows
from pipeline.verify.tables import DUPLICATES, PLAYS

PREFIX = "__connect.errors."
UNKNOWN = b"unknown_schema"
PAGE = 100_000
"""Source offsets of every partition asked of the store at once."""

Place: TypeAlias = tuple[int, int]
"""(partition, offset) of a source record."""


def outlived_by_events(letters: Collection[Place], rows: Rows) -> set[Place]:
    """Those of the letters whose records the store holds as events. Raises UnavailableError."""
    found: set[Place] = set()
    for page in sorted({offset // PAGE for _, offset in letters}):
        for shape in (PLAYS, DUPLICATES):
            stored = rows.rows(shape, page * PAGE, (page + 1) * PAGE)
            places = zip(stored["source_partition"].to_pylist(), stored["source_offset"].to_pylist(), strict=True)
            found.update(set(letters).intersection(places))
    return found


def unknown_then(settings: Settings) -> set[Place]:
    """The source records that were refused because the registry did not have their schema.

    Raises UnavailableError.
    """
    topics = topics_of(settings)
    topic, found = topics.dlq.name, set()
    consumer = consumer_of(settings)
    try:
        places = [TopicPartition(topic, partition) for partition in range(topics.dlq.partitions)]
        bounds = {at.partition: consumer.get_watermark_offsets(at, timeout=ANSWER_SECONDS) for at in places}
        left = {partition for partition, (low, high) in bounds.items() if low < high}
        consumer.assign([TopicPartition(topic, partition, bounds[partition][0]) for partition in left])
        while left:
            message = consumer.poll(ANSWER_SECONDS)
            if message is None:
                raise silent(settings)
            if (error := message.error()) is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    raise sentence(settings, error)
                left.discard(message.partition())
            elif (place := _place(message, topics.events.name)) is not None:
                found.add(place)
    except KafkaException as error:
        raise sentence(settings, error.args[0]) from error
    finally:
        consumer.close()
    return found


def _place(message: Any, source: str) -> Place | None:
    """Where the source record lay, of an entry of that kind; else None."""
    try:
        marks = {name.removeprefix(PREFIX): value for name, value in headers_of(message) or () if name.startswith(PREFIX)}
        if marks["exception.class.name"] == UNKNOWN and marks["topic"] == source.encode():
            return int(marks["partition"]), int(marks["offset"])
    except (KeyError, ValueError, TypeError):
        pass
    return None
