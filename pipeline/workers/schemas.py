"""Ask the schema registry of unknown ids: a definite no means invalid, no answer means wait."""

import asyncio
import time
from collections.abc import Iterable

import stamina
import structlog

from pipeline.codec.known import Known
from pipeline.errors import UnavailableError
from pipeline.registry.registry import Registry

log = structlog.get_logger()
_TELL_EVERY_S = 60.0


async def learn(registry: Registry, known: Known, ids: Iterable[int]) -> None:
    """Ask for each id until there is an answer, however long that takes, and take it in."""
    began = told_at = 0.0
    for schema_id in ids:
        async for attempt in stamina.retry_context(
            on=UnavailableError, attempts=None, timeout=None, wait_initial=0.2, wait_max=10.0, wait_jitter=1.0
        ):
            with attempt:
                try:
                    known.learn(schema_id, await asyncio.to_thread(registry.text, schema_id))
                except UnavailableError as error:
                    now = time.monotonic()
                    began = began or now
                    if not told_at or now - told_at >= _TELL_EVERY_S:
                        log.warning(
                            "waiting for the schema registry",
                            schema_id=schema_id,
                            seconds=round(now - began),
                            why=str(error),
                        )
                        told_at = now
                    raise
    if told_at:
        log.info("the schema registry answers again")
