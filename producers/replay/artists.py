"""The artists' names, from the old run to the new one."""

from pipeline.settings import Settings
from pipeline.topics import topics_of
from producers.interrupt import Interrupt
from producers.publish.clients import flush, gave_up, kafka_producer
from producers.replay.read import bounds, reading


def copy_artists(old: Settings, new: Settings, interrupt: Interrupt) -> int:
    """Copy every name that the old run has; how many records. Doing it twice changes nothing: the topic is compacted.

    Raises UnavailableError.
    """
    source, copied = topics_of(old).artists.name, 0
    found = bounds(old, source)
    if not found:
        return 0
    errors: list[str] = []
    producer = kafka_producer(new, {"on_delivery": lambda error, _: errors.append(error.str()) if error else None})
    starts, ends = zip(*found, strict=True)
    with reading(old, source, starts, ends, interrupt) as reader:
        for record in reader.partition(0):
            while True:
                try:
                    producer.produce(topics_of(new).artists.name, record.value, record.key)
                    break
                except BufferError:
                    flush(producer, new, interrupt)
            copied += 1
        flush(producer, new, interrupt)
    if errors:
        raise gave_up(new, f"did not take the artists' names ({errors[0]})")
    return copied
