"""plays ─► count ─► artist-counts ─► rank ─► top-artists

The second Faust app: `count` has a lane per partition of `plays`, `rank` one per shard of `artist-counts`.
"""

import asyncio
import time
from collections.abc import Callable
from itertools import islice
from typing import TypeVar

import polars as pl

from pipeline.codec.container import COUNTS_SCHEMA, TOP_SCHEMA, read_container, write_container
from pipeline.codec.headers import CountsHeaders, HeaderError, RawHeaders, TopHeaders
from pipeline.codec.records import kafka_records
from pipeline.errors import RefusedError, UnavailableError
from pipeline.faustlib.app import LogApp, build_app, run_worker
from pipeline.faustlib.fetch import Fetch
from pipeline.faustlib.lanes import Lane
from pipeline.log.append import Appender
from pipeline.log.coverage import Coverage
from pipeline.log.positions import last_final, window_since
from pipeline.log.read import Log, log_reader, undisturbed
from pipeline.log.since import REPLAY, utc
from pipeline.rules import differences
from pipeline.settings import Settings
from pipeline.topics import topics_of
from pipeline.topk.merge import Ranked, SlidingTop
from pipeline.workers.count import restore_count

_PROVISIONAL_EVERY_S = 1.0
_SENDS_AT_ONCE = 1000
_MERGED = ["pane", "artist_id", "plays", "version"]


SomeLane = TypeVar("SomeLane", bound=Lane)


class RankLane:
    """A shard of `artist-counts`: its sliding window. `clock` (seconds) only limits how often provisional lists come."""

    def __init__(
        self,
        settings: Settings,
        shard: int,
        top: SlidingTop,
        coverage: Coverage,
        appender: Appender,
        clock: Callable[[], float],
    ) -> None:
        self._settings, self._topics, self._shard = settings, topics_of(settings), shard
        self._top, self._coverage, self._appender, self._clock = top, coverage, appender, clock
        self._offset = self._durable = 0
        self._shown_at, self._shown_counted = 0.0, -1

    @property
    def next_offset(self) -> int:
        return self._durable

    def fold(self, offset: int, headers: RawHeaders, value: bytes) -> None:
        """Merge one announcement's part. Raises RefusedError where it was counted under other rules, or tells of a loss."""
        self._offset = offset + 1
        try:
            known = CountsHeaders.decode(headers)
        except HeaderError:
            return  # not one of ours
        if known.rules != self._settings.rules.fingerprint:
            told = "; ".join(differences(self._settings.rules.fingerprint, known.rules))
            raise RefusedError(
                f"{self._topics.counts.name} was counted under other rules ({told}): set them back, or replay into a new "
                "run (LISTENING_RUN)"
            )
        if not 0 <= known.partition < self._settings.partitions:
            return
        completes = self._coverage.completes(known)
        rows = read_container(value, COUNTS_SCHEMA, _MERGED)
        if rows.height:
            self._top.merge(known.partition, *(rows[name].to_physical().to_numpy() for name in _MERGED))
        if completes:
            self._top.advance(known.partition, known.watermark, known.counted)

    async def take(self, fetch: Fetch) -> None:
        for batch in fetch.batches:
            for record in kafka_records(batch):
                if record.offset >= self._offset:
                    self.fold(record.offset, record.headers, record.value or b"")
        await self.publish()

    async def idle(self) -> None:
        await self.publish()

    async def publish(self) -> None:
        """Give out what became final, and now and then how the newest window stands. Then what was folded is durable."""
        finals = self._top.finals()
        while some := list(islice(finals, _SENDS_AT_ONCE)):
            await asyncio.gather(*map(self._send, some))
        due = self._clock() - self._shown_at >= _PROVISIONAL_EVERY_S
        if due and self._top.counted > self._shown_counted:
            ranked = self._top.provisional()
            if ranked:
                self._shown_at, self._shown_counted = self._clock(), self._top.counted
                await self._send(ranked)
        self._durable = self._offset

    async def _send(self, ranked: Ranked) -> None:
        headers = TopHeaders(
            window_end=ranked.window_end,
            window_ms=self._settings.window_seconds * 1000,
            shard=self._shard,
            k=self._settings.top_k,
            final=ranked.final,
            counted=self._top.counted,
            watermark=self._top.watermark,
        )
        rows = [(rank, artist, plays) for rank, (artist, plays) in enumerate(ranked.places, 1)]
        value = write_container(pl.DataFrame(rows, TOP_SCHEMA, orient="row"))
        await self._appender.append(
            self._topics.tops.name, self._shard, value, headers.encode(), timestamp=self._top.watermark
        )


def restore_rank(reader: Log, settings: Settings, shard: int, appender: Appender) -> RankLane:
    """Go on after the last final list, with `artist-counts` read from the start of the next window to its end.

    Raises RefusedError where the final lists so far are of another window length or k, or announcements are gone.
    """
    topics, rules = topics_of(settings), settings.rules
    final = last_final(reader, topics.tops.name, shard, rules.grace_ms)
    if final and (final.window_ms, final.k) != (settings.window_seconds * 1000, settings.top_k):
        raise RefusedError(
            f"{topics.tops.name} holds final lists of {final.k} artists over {final.window_ms // 1000} s, the settings say "
            f"LISTENING_TOP_K={settings.top_k} and LISTENING_WINDOW_SECONDS={settings.window_seconds}: start a new run"
        )
    try:
        return _rebuilt(reader, settings, shard, appender, final)
    except RefusedError:
        furthest = last_final(reader, topics.tops.name, shard, rules.grace_ms, furthest=True)
        if furthest is None or final is None or furthest.window_end <= final.window_end:
            raise
        return _rebuilt(reader, settings, shard, appender, furthest)


def _rebuilt(reader: Log, settings: Settings, shard: int, appender: Appender, final: TopHeaders | None) -> RankLane:
    """The lane as of this final list. Raises RefusedError where `artist-counts` lost what it takes."""
    counts, rules = topics_of(settings).counts.name, settings.rules
    end, since = (final.window_end, window_since(final, rules.pane_ms)) if final else (None, None)
    top = SlidingTop(rules.partitions, rules.pane_ms, settings.window_seconds * 1000, rules.grace_ms, settings.top_k, end)
    coverage = Coverage(counts, shard, rules.partitions, since)
    lane = RankLane(settings, shard, top, coverage, appender, time.monotonic)
    low, high = reader.bounds(counts, shard)
    start = low if since is None else max(low, reader.offset_at(counts, shard, since))
    lane._offset = start
    for record in reader.read(counts, shard, start, high):
        lane.fold(record.offset, record.headers, record.value)
    if low > 0 and coverage.unheard:
        raise RefusedError(
            f"{counts} partition {shard} was cut: it begins at offset {low}, and no announcement of source partitions "
            f"{', '.join(map(str, coverage.unheard))} is left, of which rank needs "
            f"{'all there were' if since is None else f'those since {utc(since)}'} for the lists of the window; "
            f"{REPLAY}"
        )
    if end is not None and top.watermark < end + rules.grace_ms:
        kind = RefusedError if low > 0 else UnavailableError
        raise kind(
            f"{counts} partition {shard}, from offset {low} on, was read up to {utc(top.watermark)}, but the list of "
            f"{utc(end)} is final already: announcements of source partitions are gone; {REPLAY}"
        )
    return lane


def make_app(settings: Settings) -> LogApp:
    """The count and rank worker of a run."""
    topics, appender = topics_of(settings), Appender(settings.bootstrap)

    def restored(restore: Callable[[Log, Settings, int, Appender], SomeLane], partition: int) -> SomeLane:
        with log_reader(settings.bootstrap) as reader:
            return undisturbed(lambda: restore(reader, settings, partition, appender))

    async def open_count(partition: int) -> Lane:
        return await asyncio.to_thread(restored, restore_count, partition)

    async def open_rank(shard: int) -> Lane:
        lane = await asyncio.to_thread(restored, restore_rank, shard)
        await lane.publish()
        return lane

    return build_app(settings, "rank", {topics.plays.name: open_count, topics.counts.name: open_rank}, appender.close)


def main() -> None:
    """Run one count and rank worker."""
    run_worker(make_app)


if __name__ == "__main__":
    main()
