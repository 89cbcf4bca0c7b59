"""What a shard was told of each source partition, without gaps: how rank knows that no announcement it needs is gone.

    source offsets   0 ────────── 40 ──── 55 ──────── 90        needed: all that the watermark `since` had not passed
    announcements    … deleted …  [41..55][50..70][71..90]      whole if 41's `since` is older than that, or first is 0

Announcements of a partition overlap where a count worker was restarted or outlived its session, but each begins at the
latest where an earlier one ended. So one that begins later tells of a loss.
"""

from pipeline.codec.headers import CountsHeaders
from pipeline.errors import RefusedError
from pipeline.log.since import REPLAY, utc


class Coverage:
    """Of one shard. `needed_since`: watermark (epoch ms) from which on everything is needed; None: all there ever was."""

    def __init__(self, topic: str, shard: int, partitions: int, needed_since: int | None) -> None:
        self._where, self._needed_since = f"{topic} partition {shard}", needed_since
        self._reached = [-1] * partitions
        self._parts: list[dict[tuple[int, int], set[int]]] = [{} for _ in range(partitions)]

    @property
    def unheard(self) -> list[int]:
        """Source partitions that no announcement told of."""
        return [partition for partition, reached in enumerate(self._reached) if reached < 0]

    def completes(self, told: CountsHeaders) -> bool:
        """Take the next record of the log; whether it makes an announcement of anything new whole.

        Raises RefusedError where it shows that one before it is gone that is needed.
        """
        began = self._parts[told.partition].setdefault((told.first, told.counted), set())
        began.add(told.part)
        if not told.complete:
            return False
        reached = self._reached[told.partition]
        if told.counted <= reached:
            return False  # whole already: of a worker that lost its place, parts may lie behind all of its successor's
        if len(began) < told.parts:
            if self._is_old(told.watermark):
                return False
            raise self._lost(told, f"parts of the announcement up to source offset {told.counted}")
        if told.first > reached + 1 and not self._is_old(told.since):
            begin = f"{reached + 1} to" if reached >= 0 else "up to"
            raise self._lost(told, f"announcements of source offsets {begin} {told.first - 1}")
        self._reached[told.partition] = told.counted
        self._parts[told.partition] = {
            key: parts for key, parts in self._parts[told.partition].items() if key[1] > told.counted
        }
        return True

    def _is_old(self, watermark: int) -> bool:
        return self._needed_since is not None and watermark < self._needed_since

    def _lost(self, told: CountsHeaders, what: str) -> RefusedError:
        needed = "all there were" if self._needed_since is None else f"those since {utc(self._needed_since)}"
        return RefusedError(
            f"{self._where} was cut: {what} of source partition {told.partition} are gone, and rank needs {needed} for the "
            f"lists of the window; {REPLAY}"
        )
