"""Where the second app's stages go on, read off the ends of their output logs."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.codec.headers import CountsHeaders, HeaderError, TopHeaders
from pipeline.log.read import Log, Record, look_back


@dataclass(frozen=True, slots=True)
class Counted:
    """What a shard was last told of a source partition: the last source offset counted, and the watermark there."""

    offset: int
    watermark: int


def last_counted(reader: Log, topic: str, shards: int, partition: int) -> Counted | None:
    """The smallest position last announced over the shards (too early is harmless, too late never); None: some shard was
    told nothing of this partition yet."""
    announced = [_last_announcement(reader, topic, shard, partition) for shard in range(shards)]
    known = [entry for entry in announced if entry is not None]
    return min(known, key=lambda entry: entry.offset) if len(known) == shards else None


def _last_announcement(reader: Log, topic: str, shard: int, partition: int) -> Counted | None:
    def pick(records: Iterator[Record]) -> Counted | None:
        found = None
        for record in records:
            try:
                headers = CountsHeaders.decode(record.headers)
            except HeaderError:
                continue
            if headers.partition == partition and headers.complete:
                found = Counted(headers.counted, headers.watermark)
        return found

    return look_back(reader, topic, shard, *reader.bounds(topic, shard), pick)


def last_final(reader: Log, topic: str, shard: int, grace_ms: int) -> TopHeaders | None:
    """Headers of the final list with the latest window end, or None. One that its own watermark belies is none of ours."""

    def pick(records: Iterator[Record]) -> TopHeaders | None:
        found: TopHeaders | None = None
        for record in records:
            try:
                headers = TopHeaders.decode(record.headers)
            except HeaderError:
                continue
            plausible = headers.final and headers.window_end <= headers.watermark - grace_ms
            if plausible and (found is None or headers.window_end > found.window_end):
                found = headers
        return found

    return look_back(reader, topic, shard, *reader.bounds(topic, shard), pick)
