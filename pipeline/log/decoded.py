"""A run's source log as classify sees it: fetched batch by batch, decoded as columns, partition after partition."""

from collections.abc import AsyncIterator, Sequence

from pipeline.codec.batches import Batch
from pipeline.codec.decode import Decoded, decode
from pipeline.codec.known import Known, UndecidedSchemasError
from pipeline.errors import RefusedError
from pipeline.log.source import source
from pipeline.registry.of_run import open_registry
from pipeline.registry.registry import Registry
from pipeline.settings import Settings
from pipeline.topics import topics_of
from producers.replay.read import bounds


def source_ranges(settings: Settings) -> list[tuple[int, int]]:
    """What there is of the log now: first offset and the one after the last, by partition.

    Raises RefusedError where there is no such log, or one of other settings; UnavailableError.
    """
    topic = topics_of(settings).events
    found = bounds(settings, topic.name)
    if not found:
        raise RefusedError(f"There is no topic {topic.name}: --run (or LISTENING_RUN) must name a run that is there.")
    if len(found) != topic.partitions:
        raise RefusedError(
            f"Topic {topic.name} has {len(found)} partitions and LISTENING_PARTITIONS is {topic.partitions}: "
            "set LISTENING_PARTITIONS to what that run began with."
        )
    return found


async def decoded_log(settings: Settings, ranges: Sequence[tuple[int, int]]) -> AsyncIterator[tuple[int, Decoded]]:
    """(partition, what was decoded of it) by classify's own decoder and rules, in the order of the log, until all ranges are
    covered; the last of a partition may reach beyond its end.

    The registry is asked of each schema id that comes up. Raises UnavailableError, RefusedError where the log is cut
    meanwhile.
    """
    registry, known = open_registry(settings), Known()
    async with source(settings.bootstrap, topics_of(settings).events.name) as log:
        for partition, (low, high) in enumerate(ranges):
            position = low
            async for batches in log.batches(partition, low, high):
                decoded = _decoded(settings, batches, position, partition, registry, known)
                position = decoded.last + 1
                yield partition, decoded


def _decoded(
    settings: Settings, batches: list[Batch], position: int, partition: int, registry: Registry, known: Known
) -> Decoded:
    while True:
        try:
            return decode(batches, position, partition, settings.partitions, settings.rules.max_ahead_ms, known=known)
        except UndecidedSchemasError as undecided:
            for schema_id in undecided.ids:
                known.learn(schema_id, registry.text(schema_id))
