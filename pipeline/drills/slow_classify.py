"""A classify process that takes longer for each fetch, as long as its drill says so."""

import asyncio
import time

from pipeline.drills.seams import Function, wrap
from pipeline.drills.switches import Switches
from pipeline.faustlib.fetch import Fetch
from pipeline.workers.classify import ClassifyLane


def install(switches: Switches) -> None:
    """Raises RefusedError where the seam has moved."""
    turn = asyncio.Lock()

    def around(take: Function) -> Function:
        async def slow_take(self: ClassifyLane, fetch: Fetch) -> None:
            slowness = switches.slowness()
            if slowness is None:
                await take(self, fetch)
                return
            async with turn:  # else the partitions' waits would overlap, and the process be as fast as before
                began = time.monotonic()
                await take(self, fetch)
                await asyncio.sleep(slowness.pause(time.monotonic() - began))

        return slow_take

    wrap(ClassifyLane, "_take", around)
