"""What may be deleted of `plays` and `artist-counts`: what lies behind every reader (rule 8 of docs/design.md).

    low ─── may be deleted ───┬─ keep ─┬── smallest need of sink, count, classify (rank) ─── … ── high
                              └ stays: what a reader proves by that all behind it is there

Readers far behind need old records, so they keep the log long: nobody ever jumps. A reader whose position isn't known needs
everything.
"""

from collections.abc import Iterator, Mapping

from pipeline.codec.headers import CountsHeaders, HeaderError
from pipeline.log.positions import last_counted, last_final, last_told, window_since
from pipeline.log.read import Log
from pipeline.log.restore import check_rules, ids_since
from pipeline.log.since import last_before, last_valid
from pipeline.settings import Settings
from pipeline.topics import topics_of
from pipeline.windows.counts import panes_since

Place = tuple[str, int]


def kept_from(log: Log, settings: Settings, sunk: Mapping[Place, int], keep_ms: int) -> Iterator[tuple[Place, int]]:
    """(topic, partition) and the offset below which it may be deleted, where there is anything to delete.

    `sunk`: (topic, partition) → the sink's committed offset; nothing is deleted where it has none.
    Raises RefusedError where a log was written under other rules, and as `Log` does.
    """
    topics = topics_of(settings)
    finders = ((topics.plays, _plays_from), (topics.counts, _counts_from))
    for topic, find in finders:
        for partition in range(topic.partitions):
            low, high = log.bounds(topic.name, partition)
            needed = find(log, settings, partition, (low, high), keep_ms)
            offset = min(sunk.get((topic.name, partition), low), low if needed is None else needed)
            if offset > low:
                yield (topic.name, partition), offset


def _plays_from(log: Log, settings: Settings, partition: int, bounds: tuple[int, int], keep_ms: int) -> int | None:
    """The last record older than all that classify and count need: they prove by it that nothing they need is gone."""
    topics, rules = topics_of(settings), settings.rules
    tail = last_valid(log, topics.plays.name, partition, *bounds)
    counted = last_counted(log, topics.counts.name, settings.shards, partition)
    if tail is None or counted is None:
        return None
    check_rules(topics.plays.name, partition, tail[1].rules, rules)
    needed = min(ids_since(tail[1].watermark, rules), panes_since(counted.watermark, rules))
    return last_before(log, topics.plays.name, partition, *bounds, needed - keep_ms)


def _counts_from(log: Log, settings: Settings, shard: int, bounds: tuple[int, int], keep_ms: int) -> int | None:
    """The first announcement that rank needs, of any source partition. The last of each, also of a quiet one, for which
    count looks back, lies behind it: all are past a final window. A final list that one of them belies is none of ours."""
    topics, rules = topics_of(settings), settings.rules
    final = last_final(log, topics.tops.name, shard, rules.grace_ms)
    if final is None:
        return None
    for furthest in (False, True):  # what a worker told that was stopped for long may lie behind what its successor told
        told = last_told(log, topics.counts.name, shard, range(rules.partitions), furthest=furthest)
        for entry in told.values():
            check_rules(topics.counts.name, shard, entry.rules, rules)
        past = [entry for entry in told.values() if entry.watermark >= final.window_end + rules.grace_ms]
        if len(past) == rules.partitions:
            break
    else:
        return None
    return _first_announced(log, topics.counts.name, shard, bounds, window_since(final, rules.pane_ms) - keep_ms)


def _first_announced(log: Log, topic: str, shard: int, bounds: tuple[int, int], instant: int) -> int:
    """Offset of the first record of an announcement of watermark `instant` (epoch ms) or later, of any partition."""
    low, high = bounds
    for record in log.read(topic, shard, max(low, log.offset_at(topic, shard, instant)), high):
        try:
            if CountsHeaders.decode(record.headers).watermark >= instant:
                return record.offset
        except HeaderError:
            continue  # dated by others
    return high
