"""The oracles, told of every record that is written and every position that moves: the first wrong one is named.

O1 equality     what is written of a source record, a pane or a window is what the recomputation makes of it
O3 conservation every offset is in exactly one valid record, as one outcome; what is invalid has its dead letter before
O4 positions    a position is never beyond what is applied, valid records follow each other without a gap
O5 replay       a final list has one content; a fresh run over the same log leaves the same tables
O6 liveness     nobody stands down, and all lag is gone in the end without anybody's help
"""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.ipc

from pipeline.log.read import Record
from pipeline.topics import topics_of
from tests.unit.machine.broker import Place
from tests.unit.machine.truth import Truth

Named = dict[str, str]


class ViolationError(AssertionError):
    """An oracle says no. The text begins with its name."""


def hold(oracle: str, condition: bool, what: str) -> None:
    if not condition:
        raise ViolationError(f"{oracle}: {what}")


def rows_of(value: bytes) -> list[Any]:
    """The rows of a container, times as epoch ms."""
    rows: list[Any] = pa.ipc.open_stream(value).read_all().to_pylist() if value else []
    return [{name: _plain(content) for name, content in row.items()} for row in rows]


def _plain(content: Any) -> Any:
    return round(content.replace(tzinfo=UTC).timestamp() * 1000) if isinstance(content, datetime) else content


def named_of(record: Record) -> Named:
    """Its headers as texts."""
    return {name: value.decode() for name, value in record.headers if isinstance(value, bytes)}


class Oracles:
    def __init__(self, truth: Truth) -> None:
        self.truth, self._topics = truth, topics_of(truth.settings)
        partitions, shards = range(truth.rules.partitions), range(truth.settings.shards)
        self.applied = dict.fromkeys(partitions, 0)
        """Source partition → the offset up to which `plays` tells of it."""
        self.valid: dict[int, list[tuple[int, int]]] = {partition: [] for partition in partitions}
        """Source partition → (offset in `plays`, last source offset) of its valid records."""
        self._letters: set[tuple[int, int]] = set()
        self._told: dict[int, dict[int, int]] = {shard: dict.fromkeys(partitions, -1) for shard in shards}
        self._parts: dict[tuple[int, int, int, int], dict[int, set[tuple[int, int]]]] = defaultdict(dict)
        self.marks: dict[int, list[int]] = {shard: [] for shard in shards}
        """Shard → by offset of `artist-counts`, the global watermark that it and all before it tell."""
        self._marked: dict[int, dict[int, int]] = {shard: dict.fromkeys(partitions, 0) for shard in shards}
        self.finals: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def hear(self, place: Place, record: Record) -> None:
        """A record was written."""
        topic, partition = place
        named = named_of(record)
        kinds = {
            self._topics.plays.name: self._plays,
            self._topics.dlq.name: self._letter,
            self._topics.counts.name: self._announcement,
            self._topics.tops.name: self._list,
        }
        kinds[topic](partition, record, named)

    def _plays(self, partition: int, record: Record, named: Named) -> None:
        if int(named["at"]) != record.offset:
            return  # somebody was first: it counts for nothing
        first, last, truth = int(named["first"]), int(named["last"]), self.truth
        where = f"plays {partition}@{record.offset}, source offsets {first} to {last}"
        hold("O4 positions", first == self.applied[partition], f"{where} follow {self.applied[partition] - 1}")
        hold("O4 positions", last < len(truth.folds[partition].kinds), f"{where} are beyond the source's end")
        counts = truth.counts(partition, first, last)
        told = {name: int(named[name]) for name in counts}
        hold("O3 conservation", sum(told.values()) == last - first + 1, f"{where} are not {told}")
        hold("O1 equality", told == counts, f"{where} are {told}, expected {counts}")
        watermark = truth.watermark(partition, last)
        hold("O1 equality", int(named["watermark"]) == watermark == max(record.timestamp, 0) or not watermark, where)
        events = {offset: row for offset, row in truth.events(partition).items() if first <= offset <= last}
        wrong = dict.fromkeys(truth.invalid(partition, first, last), ("invalid", None, None, None, None))
        found = {row["offset"]: _outcome(row) for row in rows_of(record.value)}
        hold("O1 equality", found == events | wrong, f"{where} hold {found}, expected {events | wrong}")
        missing = [offset for offset in wrong if (partition, offset) not in self._letters]
        hold("O3 conservation", not missing, f"{where}: no dead letter yet of {missing}")
        self.applied[partition] = last + 1
        self.valid[partition].append((record.offset, last))

    def _letter(self, partition: int, record: Record, named: Named) -> None:
        offset = int(named["__connect.errors.offset"])
        original = self.truth.originals[partition, offset]
        value = None if record.is_null else record.value
        same = (record.key, value) == (original.key, original.value)
        hold("O3 conservation", same, f"the dead letter of {partition}@{offset} holds other bytes")
        hold("O1 equality", bool(self.truth.invalid(partition, offset, offset)), f"{partition}@{offset} is no poison")
        self._letters.add((partition, offset))

    def _announcement(self, shard: int, record: Record, named: Named) -> None:
        names = ("partition", "first", "counted", "part", "parts", "watermark", "since")
        source, first, counted, part, parts, watermark, since = (int(named[name]) for name in names)
        truth, shards = self.truth, self.truth.settings.shards
        where = f"artist-counts {shard}@{record.offset}, source offsets {first} to {counted} of {source}"
        hold("O4 positions", counted < self.applied[source], f"{where} are not all in plays")
        hold("O1 equality", watermark == truth.watermark(source, counted), f"{where}: watermark")
        hold("O1 equality", since == truth.watermark(source, first - 1), f"{where}: the watermark before")
        plays, told = truth.plays(source, 0, counted), set()
        for row in rows_of(record.value):
            key = (row["pane"], row["artist_id"])
            hold("O1 equality", row["plays"] == plays[key], f"{where}: {row['plays']} of {key}, expected {plays[key]}")
            hold("O1 equality", row["version"] == counted and row["artist_id"] % shards == shard, f"{where}: {row}")
            told.add(key)
        so_far = self._parts[shard, source, first, counted]
        so_far[part] = told
        if part == parts:
            changed = {key for key in truth.plays(source, first, counted) if key[1] % shards == shard}
            every = set().union(*so_far.values())
            hold("O1 equality", changed <= every, f"{where} don't tell of {changed - every}")
            self._told[shard][source] = max(self._told[shard][source], counted)
            self._marked[shard][source] = max(self._marked[shard][source], watermark)
        self.marks[shard].append(min(self._marked[shard].values()))

    def _list(self, shard: int, record: Record, named: Named) -> None:
        if not int(named["final"]):
            return
        end, watermark = int(named["window_end"]), int(named["watermark"])
        places = [(row["artist_id"], row["plays"]) for row in rows_of(record.value)]
        where = f"the final list of {end} in shard {shard}"
        before = self.finals.setdefault((end, shard), places)
        hold("O5 replay", before == places, f"{where} was {before} and is {places}")
        expected = {entry.window_end: entry.ranked for entry in self.truth.finals(watermark) if entry.shard == shard}
        hold("O1 equality", expected.get(end) == places, f"{where} is {places}, expected {expected.get(end)}")

    def committed_of_classify(self, partition: int, offset: int) -> None:
        hold("O4 positions", offset <= self.applied[partition], f"classify is at {partition}@{offset} before it is applied")

    def committed_of_count(self, partition: int, offset: int) -> None:
        """A position of `plays`: all before it was told to every shard."""
        last = max((last for at, last in self.valid[partition] if at < offset), default=-1)
        told = min(shard[partition] for shard in self._told.values())
        hold("O4 positions", last <= told, f"count is at plays {partition}@{offset}, shards know {told} of {last}")

    def committed_of_rank(self, shard: int, offset: int) -> None:
        """A position of `artist-counts`: all that became final by what lies before it was given out."""
        mark = self.marks[shard][offset - 1] if offset else 0
        due = {(entry.window_end, entry.shard) for entry in self.truth.finals(mark) if entry.shard == shard}
        missing = sorted(due - self.finals.keys())
        hold("O4 positions", not missing, f"rank is at artist-counts {shard}@{offset}, final lists are missing: {missing}")


def _outcome(row: Any) -> tuple[Any, ...]:
    return (row["outcome"], row["first_offset"], row["event_time"], row["artist_id"], row["event_id"])
