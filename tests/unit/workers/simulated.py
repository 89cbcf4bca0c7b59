"""The derived logs of a run, written by the stages themselves, a step at a time, with crashes, zombies and rogues."""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.ipc

from pipeline.codec.batches import walk
from pipeline.codec.decode import decode
from pipeline.codec.headers import PlaysHeaders, TopHeaders
from pipeline.log.batch import classify
from pipeline.log.restore import restore_memory
from pipeline.log.retention import kept_from
from pipeline.settings import Settings, load
from pipeline.topics import topics_of
from pipeline.windows.panes import pane_of
from pipeline.workers.count import CountLane, restore_count
from pipeline.workers.rank import RankLane, restore_rank
from tests.unit.batches import NOON, Item, batch_bytes, event, record, tick
from tests.unit.log.memory_log import MemoryLog
from tests.unit.workers.test_count_and_rank import MemoryAppender, fetch

SETTINGS: Settings = load(
    partitions=2,
    shards=2,
    pane_seconds=10,
    window_seconds=20,
    grace_seconds=10,
    horizon_seconds=15,
    near_tolerance_seconds=2,
    max_ahead_seconds=5,
    slot_seconds=5,
    top_k=3,
)
TOPICS, RULES = topics_of(SETTINGS), SETTINGS.rules
PLAYS, COUNTS, TOPS = TOPICS.plays.name, TOPICS.counts.name, TOPICS.tops.name
NO_ANNOUNCEMENT = [("partition", b"0"), ("watermark", b"%d" % 2**41), ("counted", b"7"), ("part", b"1"), ("parts", b"1")]


@dataclass(frozen=True)
class Listen:
    """An event of a source partition: how far the clock went on, how long before it was played (s), its id and artist."""

    advance: int
    ago: int
    number: int
    artist: int


@dataclass
class Simulated:
    """`sources`: by partition. Every stage's step takes some records and writes what follows from them."""

    sources: list[list[Listen]]
    log: MemoryLog = field(default_factory=MemoryLog)
    counters: dict[int, CountLane] = field(default_factory=dict)
    zombies: dict[int, CountLane] = field(default_factory=dict)
    rankers: dict[int, RankLane] = field(default_factory=dict)
    sunk: dict[tuple[str, int], int] = field(default_factory=dict)
    trimmed: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.appender = MemoryAppender(self.log)
        self.items: list[list[tuple[Item, int]]] = []
        for number, source in enumerate(self.sources):
            clock, items = NOON, []
            for listen in source:
                clock += listen.advance * 1000
                fields = event(
                    100 * (number + 1) + listen.number,
                    played_at=clock - listen.ago * 1000,
                    artist_id=listen.artist,
                )
                items.append((record(fields) if listen.artist else tick(clock), clock))
            self.items.append([*items, (tick(NOON + 900_000), NOON + 900_000)])

    def classify(self, partition: int, count: int) -> None:
        """Restored anew each time: the log is the state."""
        restored = restore_memory(self.log, PLAYS, partition, RULES)
        memory, at = restored.memory, restored.memory.next_offset
        part = self.items[partition][at : at + count]
        if part:
            raw = batch_bytes([item for item, _ in part], at, timestamps=[stamp for _, stamp in part])
            result = classify(memory, decode(walk(raw), at, 0, 1, RULES.max_ahead_ms, fast=False), RULES)
            headers = result.headers(restored.at, RULES.fingerprint).encode()
            self.log.append(PLAYS, partition, result.value, headers, result.watermark)

    def count(self, partition: int, count: int, *, zombie: bool = False) -> None:
        lanes = self.zombies if zombie else self.counters
        if partition not in lanes:
            if zombie:
                return
            lanes[partition] = restore_count(self.log, SETTINGS, partition, self.appender)
        self._take(lanes[partition], PLAYS, partition, count)

    def rank(self, shard: int, count: int) -> None:
        if shard not in self.rankers:
            self.rankers[shard] = restore_rank(self.log, SETTINGS, shard, self.appender)
            asyncio.run(self.rankers[shard].publish())
        self._take(self.rankers[shard], COUNTS, shard, count)

    def _take(self, lane: Any, topic: str, partition: int, count: int) -> None:
        if lane.next_offset < self.log.lows[topic, partition]:
            self._left_behind(lane, topic, partition)
            return
        part = fetch(self.log, topic, partition, lane.next_offset, count)
        if part:
            asyncio.run(lane.take(part))

    def _left_behind(self, lane: Any, topic: str, partition: int) -> None:
        """Its position is gone. Of a zombie that is all; a count worker that a zombie has overtaken restores, as the real
        one does, and is refused if anything that it needs is gone."""
        if lane in self.zombies.values():
            del self.zombies[partition]
            return
        assert lane in self.counters.values(), f"{topic} {partition}: nobody overtakes a rank worker"
        self.counters[partition] = restore_count(self.log, SETTINGS, partition, self.appender)
        assert self.counters[partition].next_offset >= self.log.lows[topic, partition]

    def crash(self, partition: int, *, comes_back: bool = False) -> None:
        """Count and rank forget all; `comes_back`: the count worker was only stopped, and others have its place now."""
        lane = self.counters.pop(partition, None)
        if comes_back and lane:
            self.zombies[partition] = lane
        self.rankers.clear()

    def rogue(self, topic: str, partition: int, dated: int, kind: int) -> None:
        """A record that is none of ours; a copy of one, at another place; something with some of our headers."""
        earlier = self.log.records[topic, partition]
        copied = list(earlier[-1].headers) if earlier and topic == PLAYS else NO_ANNOUNCEMENT
        headers = [[], copied, NO_ANNOUNCEMENT][kind]
        self.log.append(topic, partition, b"not even avro", headers, dated)

    def all_on(self, partition: int, count: int) -> None:
        self.classify(partition, count)
        self.count(partition, 20)
        for shard in range(SETTINGS.shards):
            self.rank(shard, 20)

    def sink(self, topic: str, partition: int, percent: int) -> None:
        place = (topic, partition)
        self.sunk[place] = max(self.sunk.get(place, 0), len(self.log.records[place]) * percent // 100)

    def trim(self, keep_ms: int) -> None:
        """By our rule; every reader's restore stays what it was."""
        before = self.states()
        for (topic, partition), offset in list(kept_from(self.log, SETTINGS, self.sunk, keep_ms)):
            assert self.log.lows[topic, partition] < offset <= self.sunk[topic, partition]
            self.log.cut(topic, partition, offset)
            self.trimmed[topic] += 1
        assert self.states() == before

    def states(self) -> dict[str, Any]:
        """What each reader would restore now. Raises RefusedError where one can't."""
        found: dict[str, Any] = {}
        for partition in range(SETTINGS.partitions):
            found[f"classify {partition}"] = classify_state(self.log, partition)
            found[f"count {partition}"] = count_state(self.log, partition)
        return found | {f"rank {shard}": rank_state(self.log, shard) for shard in range(SETTINGS.shards)}

    def finish(self) -> None:
        """All stages to the end."""
        self.zombies.clear()
        for partition, items in enumerate(self.items):
            while restore_memory(self.log, PLAYS, partition, RULES).memory.next_offset < len(items):
                self.classify(partition, 50)
            self.count(partition, len(self.log.records[PLAYS, partition]) + 1)
        for shard in range(SETTINGS.shards):
            self.rank(shard, len(self.log.records[COUNTS, shard]) + 1)


def classify_state(log: MemoryLog, partition: int) -> Any:
    restored = restore_memory(log, PLAYS, partition, RULES)
    memory, seen = restored.memory, restored.memory.seen
    oldest = (memory.watermark - RULES.horizon_ms) // RULES.slot_ms
    ids = []
    for entry in seen.entries():
        columns = (seen._head[entry], seen._tail[entry], seen.slot(entry), seen.offset[entry])
        ids += zip(*(column.tolist() for column in columns), strict=True)
    ids.sort()
    return [entry for entry in ids if entry[2] >= oldest], memory.watermark, memory.next_offset, restored.at


def count_state(log: MemoryLog, partition: int) -> Any:
    lane = restore_count(log, SETTINGS, partition, MemoryAppender(log))
    oldest = pane_of(lane._watermark - RULES.grace_ms, RULES.pane_ms)
    panes = {
        pane: dict(zip(tally.artists.tolist(), tally.plays.tolist(), strict=True))
        for pane, tally in lane._counts._panes.items()
        if pane >= oldest
    }
    return panes, lane._watermark, lane._expected, lane.next_offset


def rank_state(log: MemoryLog, shard: int) -> Any:
    """The lists that it would publish at once, and the panes that later ones are made of."""
    lane = restore_rank(log, SETTINGS, shard, MemoryAppender(log))
    top = lane._top
    oldest = -1 if top._last_final is None else top._last_final + RULES.pane_ms - SETTINGS.window_seconds * 1000
    panes: dict[int, Counter[int]] = defaultdict(Counter)
    for start, pane in top._panes.items():
        for artists, plays in pane.parts() if start >= oldest else []:
            panes[start].update(dict(zip(artists.tolist(), plays.tolist(), strict=True)))
    known = (list(top._watermarks), list(top._counted), lane._offset)
    return known, panes, list(top.finals()), top.provisional()


def published(log: MemoryLog) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """(window end, shard) → places of the final list; a repeated one must be the same."""
    found: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for shard in range(SETTINGS.shards):
        for entry in log.records[TOPS, shard]:
            headers = TopHeaders.decode(entry.headers)
            if headers.final:
                rows: list[Any] = pa.ipc.open_stream(entry.value).read_all().to_pylist()
                places = [(row["artist_id"], row["plays"]) for row in rows]
                assert found.setdefault((headers.window_end, shard), places) == places
    return found


def expected(sources: list[list[Listen]]) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """The final lists, from the events alone, one at a time, in seconds since NOON (a whole slot and pane)."""
    accepted: list[tuple[int, int]] = []
    for source in sources:
        clock, watermark = 0, -(10**9)
        slots: dict[int, int] = {}
        for listen in source:
            clock += listen.advance
            played = clock if not listen.artist else clock - listen.ago
            watermark = max(watermark, played)
            if not listen.artist:
                continue
            beyond, seen = played < watermark - 15, slots.get(listen.number, -(10**9))
            if not beyond and seen >= (watermark - 15) // 5:
                continue
            slots[listen.number] = max(played // 5, seen)
            if not beyond and played >= watermark - 10:
                accepted.append((played, listen.artist))
    ends = sorted({second // 10 * 10 + ahead for second, _ in accepted for ahead in (10, 20)})
    lists = {}
    for end in ends:
        by_shard: dict[int, Counter[int]] = defaultdict(Counter)
        for second, artist in accepted:
            if end - 20 <= second < end:
                by_shard[artist % 2][artist] += 1
        for shard, plays in by_shard.items():
            lists[NOON + end * 1000, shard] = sorted(plays.items(), key=lambda entry: (-entry[1], entry[0]))[:3]
    return lists


def valid_offsets(log: MemoryLog, partition: int) -> list[int]:
    """Offsets of the valid records of `plays`, deleted ones included."""
    return [entry.offset for entry in log.records[PLAYS, partition] if PlaysHeaders.valid_at(entry.offset, entry.headers)]
