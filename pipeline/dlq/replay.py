"""Send refused records again, under the right key: first what would happen, then, if wanted, so.

read_letters ─► fates_of ─► (shown) ─► produce, acks=all ─► await
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from pipeline.codec.known import Known, UndecidedSchemasError
from pipeline.dedup.decide import Memory
from pipeline.dlq.fates import Fate, fates_of
from pipeline.dlq.letters import Letter
from pipeline.log.append import Appender
from pipeline.log.read import log_reader
from pipeline.log.restore import restore_memory
from pipeline.registry.of_run import open_registry
from pipeline.settings import Settings
from pipeline.topics import topics_of

_AT_ONCE = 500


def predict(settings: Settings, letters: Sequence[Letter]) -> list[Fate]:
    """What would become of the letters now, in their order.

    Raises UnavailableError where broker or registry don't answer, RefusedError where the run's log is under other rules.
    """
    registry, known = open_registry(settings), Known()
    plays = topics_of(settings).plays.name

    with log_reader(settings.bootstrap) as reader:

        def memory(partition: int) -> Memory:
            return restore_memory(reader, plays, partition, settings.rules).memory

        now = time.time_ns() // 1_000_000 if settings.append_time else None
        while True:
            try:
                return fates_of(letters, known, memory, settings.rules, now)
            except UndecidedSchemasError as undecided:
                for schema_id in undecided.ids:
                    known.learn(schema_id, registry.text(schema_id))


def send(settings: Settings, fates: Sequence[Fate], progress: Callable[[int], None] = lambda _sent: None) -> int:
    """Append those that are worth sending to the source topic, in their order; how many. Raises UnavailableError.

    Sending one twice does no harm: the second is a duplicate of the first.
    """
    return asyncio.run(_send(settings, [fate for fate in fates if fate.is_sent], progress))


async def _send(settings: Settings, fates: Sequence[Fate], progress: Callable[[int], None]) -> int:
    appender, topic = Appender(settings.bootstrap), topics_of(settings).events.name
    try:
        for start in range(0, len(fates), _AT_ONCE):
            await asyncio.gather(
                *(
                    appender.append(
                        topic,
                        fate.partition,
                        fate.letter.value,
                        fate.letter.headers,
                        key=fate.key,
                        timestamp=None if settings.append_time else fate.letter.appended_at,
                    )
                    for fate in fates[start : start + _AT_ONCE]
                )
            )
            progress(min(start + _AT_ONCE, len(fates)))
    finally:
        await appender.close()
    return len(fates)
