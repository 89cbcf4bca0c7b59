"""What the dead-letter queue says of refusals that the log alone can't decide again: a schema was not in the registry then.

A registry's no is an answer at a time. The entry that classify wrote is its evidence; it is believed for ids that the
registry has by now, but never for the embedded registry's first version, which was always there.
"""

from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from pipeline.settings import Settings
from pipeline.topics import topics_of
from pipeline.verify.readlog import ANSWER_SECONDS, consumer_of, headers_of, sentence, silent

PREFIX = "__connect.errors."
UNKNOWN = b"unknown_schema"


def unknown_then(settings: Settings) -> set[tuple[int, int]]:
    """(partition, offset) of the source records that were refused because the registry did not have their schema.

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


def _place(message: Any, source: str) -> tuple[int, int] | None:
    """Where the source record lay, of an entry of that kind; else None."""
    try:
        marks = {name.removeprefix(PREFIX): value for name, value in headers_of(message) or () if name.startswith(PREFIX)}
        if marks["exception.class.name"] == UNKNOWN and marks["topic"] == source.encode():
            return int(marks["partition"]), int(marks["offset"])
    except (KeyError, ValueError, TypeError):
        pass
    return None
