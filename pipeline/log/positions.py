"""Where the second app's stages go on, read off the ends of their output logs.

A worker that was stopped for long may write once more when others have its place: its position is an old one, and what it
goes on with may be deleted. Then the `furthest` one counts, which takes reading all of the output log.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from pipeline.codec.headers import CountsHeaders, HeaderError, TopHeaders
from pipeline.log.read import Log, Record, look_back


@dataclass(frozen=True, slots=True)
class Counted:
    """What a shard was last told of a source partition: the last source offset counted, and the watermark there.
    `rules`: fingerprint of those it was counted under."""

    offset: int
    watermark: int
    rules: str


def last_counted(reader: Log, topic: str, shards: int, partition: int, *, furthest: bool = False) -> Counted | None:
    """The smallest position last announced over the shards (too early is harmless, too late never); None: some shard was
    told nothing of this partition yet."""
    announced = [last_told(reader, topic, shard, [partition], furthest=furthest).get(partition) for shard in range(shards)]
    known = [entry for entry in announced if entry is not None]
    return min(known, key=lambda entry: entry.offset) if len(known) == shards else None


def last_told(
    reader: Log, topic: str, shard: int, partitions: Collection[int], *, furthest: bool = False
) -> dict[int, Counted]:
    """Source partition → what the shard was last told of it; those of which it was told nothing are not in it."""
    told: dict[int, Counted] = {}

    def pick(records: Iterator[Record]) -> dict[int, Counted] | None:
        for record in records:
            try:
                headers = CountsHeaders.decode(record.headers)
            except HeaderError:
                continue
            before = told.get(headers.partition)
            passed_over = furthest and before is not None and before.offset > headers.counted
            if headers.partition in partitions and headers.complete and not passed_over:
                told[headers.partition] = Counted(headers.counted, headers.watermark, headers.rules)
        return told if len(told) == len(partitions) and not furthest else None

    look_back(reader, topic, shard, *reader.bounds(topic, shard), pick)
    return told


def last_final(reader: Log, topic: str, shard: int, grace_ms: int, *, furthest: bool = False) -> TopHeaders | None:
    """Headers of the final list with the latest window end, or None. One that its own watermark belies is none of ours."""

    found: TopHeaders | None = None

    def pick(records: Iterator[Record]) -> TopHeaders | None:
        nonlocal found
        for record in records:
            try:
                headers = TopHeaders.decode(record.headers)
            except HeaderError:
                continue
            plausible = headers.final and headers.window_end <= headers.watermark - grace_ms
            if plausible and (found is None or headers.window_end > found.window_end):
                found = headers
        return None if furthest else found

    look_back(reader, topic, shard, *reader.bounds(topic, shard), pick)
    return found


def window_since(final: TopHeaders, pane_ms: int) -> int:
    """Start of the window that follows a final one (epoch ms): announcements of that watermark or later hold its counts."""
    return final.window_end + pane_ms - final.window_ms
