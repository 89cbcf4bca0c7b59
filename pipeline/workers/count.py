"""plays ─► accepted rows ─► absolute counts per pane and artist ─► artist-counts (every shard) ─► await ─► next offset"""

import asyncio
from typing import TypeAlias

import numpy as np
import polars as pl

from pipeline.codec.container import COUNTS_SCHEMA, read_longs, write_container
from pipeline.codec.headers import CountsHeaders, PlaysHeaders
from pipeline.codec.records import kafka_records
from pipeline.errors import RefusedError
from pipeline.faustlib.fetch import Fetch
from pipeline.log.append import Appender
from pipeline.log.positions import Counted, last_counted
from pipeline.log.read import Log
from pipeline.log.restore import check_rules
from pipeline.log.since import REPLAY, check_contiguous, utc, valid_since
from pipeline.outcomes import Outcome
from pipeline.settings import Settings
from pipeline.topics import topics_of
from pipeline.windows.columns import Longs
from pipeline.windows.counts import Changed, PaneCounts, panes_since

_ROWS_PER_RECORD = 100_000
Plays: TypeAlias = tuple[Longs, Longs]
"""Event times (epoch ms) and artists, as columns of one length."""


class CountLane:
    """A partition of `plays`: its panes that can still change, and how far its log is counted."""

    def __init__(self, settings: Settings, partition: int, appender: Appender) -> None:
        self._settings, self._topics, self._rules = settings, topics_of(settings), settings.rules
        self._partition, self._appender = partition, appender
        self._counts = PaneCounts(self._rules)
        self._expected: int | None = 0  # first source offset of the next valid record; None: none was read yet
        self._watermark = 0
        self._offset = 0

    @property
    def next_offset(self) -> int:
        return self._offset

    def fold(self, offset: int, headers: PlaysHeaders, value: bytes) -> Plays:
        """Take one valid record; its accepted plays, still to be counted. Raises RefusedError."""
        topic = self._topics.plays.name
        check_rules(topic, self._partition, headers.rules, self._rules)
        check_contiguous(topic, self._partition, offset, headers, self._expected)
        self._expected, self._watermark = headers.last + 1, headers.watermark
        times, artists = read_longs(value, ["event_time", "artist_id"], "outcome", Outcome.ACCEPTED.label)
        return times, artists

    async def take(self, fetch: Fetch) -> None:
        plays: list[Plays] = []
        before, since = self._expected, self._watermark
        for batch in fetch.batches:
            for record in kafka_records(batch):
                if record.offset < self._offset:
                    continue
                headers = PlaysHeaders.valid_at(record.offset, record.headers)
                if headers:
                    plays.append(self.fold(record.offset, headers, record.value or b""))
        if before is not None and self._expected != before:
            await self._announce(self.count(plays), before, since)
        self._offset = fetch.next

    def count(self, plays: list[Plays]) -> Changed:
        """Count what was folded of some records (at least one) at once; what changed."""
        return self._counts.add(*(np.concatenate(columns) for columns in zip(*plays, strict=True)))

    async def idle(self) -> None:
        pass

    async def _announce(self, changed: Changed, first: int, since: int) -> None:
        """Tell every shard, also those without a changed row, what changed since source offset `first` and the watermark
        `since` before it: the watermark is news to all."""
        assert self._expected is not None
        counted, shards = self._expected - 1, self._settings.shards
        self._counts.drop_settled(self._watermark)
        told, shard_of = (first, since, counted, self._watermark), changed.artists % shards
        split = [Changed(*(column[shard_of == shard] for column in changed)) for shard in range(shards)]
        await asyncio.gather(*(self._tell(shard, rows, told) for shard, rows in enumerate(split)))

    async def _tell(self, shard: int, changed: Changed, told: tuple[int, int, int, int]) -> None:
        rows = _frame(self._partition, changed, told[2])
        parts = list(rows.iter_slices(_ROWS_PER_RECORD)) or [rows]
        for number, part in enumerate(parts, 1):
            headers = CountsHeaders(self._partition, *told, number, len(parts), self._rules.fingerprint)
            value = write_container(part) if part.height else b""
            await self._appender.append(self._topics.counts.name, shard, value, headers.encode(), timestamp=self._watermark)


def _frame(partition: int, changed: Changed, counted: int) -> pl.DataFrame:
    """Rows of `artist-counts`, as of this source offset."""
    panes, artists, plays = changed
    source, as_of = np.full(len(plays), partition, np.int32), np.full(len(plays), counted)
    columns = (source, panes.view("M8[ms]"), artists, plays, as_of)
    return pl.DataFrame(dict(zip(COUNTS_SCHEMA, columns, strict=True)), COUNTS_SCHEMA)


def restore_count(reader: Log, settings: Settings, partition: int, appender: Appender) -> CountLane:
    """Go on after what every shard was told, with the panes that can still change rebuilt from the log before it.

    Raises RefusedError where the log that is needed is gone or was written under other rules.
    """
    topics = topics_of(settings)
    plays = topics.plays.name
    low, high = reader.bounds(plays, partition)
    counted = last_counted(reader, topics.counts.name, settings.shards, partition)
    if counted is None:
        if low > 0:
            raise RefusedError(
                f"{plays} partition {partition} was cut: it begins at offset {low}, and {topics.counts.name} does not say "
                f"that anything of it was counted, so what came before would be missing in every count; {REPLAY}"
            )
        return CountLane(settings, partition, appender)
    try:
        return _rebuilt(reader, CountLane(settings, partition, appender), low, high, counted)
    except RefusedError:
        furthest = last_counted(reader, topics.counts.name, settings.shards, partition, furthest=True)
        if furthest is None or furthest.offset <= counted.offset:
            raise
        return _rebuilt(reader, CountLane(settings, partition, appender), low, high, furthest)


def _rebuilt(reader: Log, lane: CountLane, low: int, high: int, counted: Counted) -> CountLane:
    """The lane as of this position. Raises RefusedError where `plays` (offsets `low` to `high`) lost what it takes."""
    plays, partition, oldest = lane._topics.plays.name, lane._partition, panes_since(counted.watermark, lane._rules)
    lane._expected = None
    for record, headers in valid_since(
        reader, plays, partition, low, high, oldest, "plays of panes that count must go on with"
    ):
        if headers.first > counted.offset:
            break
        lane.count([lane.fold(record.offset, headers, record.value)])
        lane._offset = record.offset + 1
    if lane._expected != counted.offset + 1:
        raise RefusedError(
            f"{plays} partition {partition} holds outcomes from offset {low} on, but not those of source offset "
            f"{counted.offset}, up to which was counted ({utc(counted.watermark)}): it was cut or made "
            f"anew, and what count must go on with is gone; {REPLAY}"
        )
    return lane
