"""The crash points of a rank process: count's announcements, and rank's final lists."""

from pipeline.drills.seams import Function, wrap
from pipeline.drills.switches import Switches
from pipeline.topk.merge import Ranked
from pipeline.windows.counts import Changed
from pipeline.workers.count import CountLane
from pipeline.workers.rank import RankLane


def install(switches: Switches) -> None:
    """Raises RefusedError where a seam has moved."""

    def sending(send: Function) -> Function:
        async def reached(self: RankLane, ranked: Ranked) -> None:
            if not ranked.final:
                switches.reach("rank before provisional sent")
            await send(self, ranked)
            if ranked.final:
                switches.reach("rank after final sent")

        return reached

    def announcing(announce: Function) -> Function:
        async def reached(self: CountLane, changed: Changed, first: int, since: int) -> None:
            await announce(self, changed, first, since)
            switches.reach("rank after announce")

        return reached

    wrap(RankLane, "_send", sending)
    wrap(CountLane, "_announce", announcing)
