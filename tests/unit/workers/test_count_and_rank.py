"""Count and rank over an in-memory log, with a crash before or after any of their writes: the final lists stay exact."""

import asyncio
import itertools
from collections import Counter, defaultdict

import pyarrow as pa
import pyarrow.ipc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codec.batches import walk
from pipeline.codec.decode import decode
from pipeline.codec.headers import HeaderList, TopHeaders
from pipeline.dedup.decide import Memory
from pipeline.faustlib.fetch import Fetch
from pipeline.log.append import Appender
from pipeline.log.batch import classify
from pipeline.settings import Settings, load
from pipeline.topics import topics_of
from pipeline.workers.count import restore_count
from pipeline.workers.rank import restore_rank
from tests.unit.batches import NOON, batch_bytes, event, record, tick
from tests.unit.log.memory_log import MemoryLog

SETTINGS = load(
    partitions=2,
    shards=2,
    pane_seconds=10,
    window_seconds=40,
    grace_seconds=10,
    horizon_seconds=700,
    top_k=3,
    slot_seconds=60,
)
TOPICS, RULES = topics_of(SETTINGS), SETTINGS.rules
Play = tuple[int, int]  # second, artist


class CrashError(Exception):
    pass


class MemoryAppender(Appender):
    """Writes to the in-memory log; dies at the given write, before it or after it."""

    def __init__(self, log: MemoryLog) -> None:
        super().__init__("unused")
        self._log = log
        self.lives: int | None = None
        self.dies_after = False

    async def append(
        self, topic: str, partition: int, value: bytes | None, headers: HeaderList, *,
        timestamp: int | None = None, key: bytes | None = None,  # noqa: ARG002
    ) -> int:  # fmt: skip
        if self.lives == 0 and not self.dies_after:
            raise CrashError
        offset = self._log.append(topic, partition, value or b"", headers, timestamp or 0)
        if self.lives is not None:
            if self.lives == 0:
                raise CrashError
            self.lives -= 1
        return offset


def classified(log: MemoryLog, plays: list[list[Play]], settings: Settings) -> None:
    """Each partition's plays, one `plays` record each few, and a last tick that closes every window."""
    number = 0
    for partition, entries in enumerate(plays):
        memory, at = Memory(), 0
        parts = [entries[start : start + 3] for start in range(0, len(entries), 3)]
        items = [[_play(number := number + 1, second, artist) for second, artist in part] for part in parts]
        items.append([tick(NOON + 400_000)])
        for part in items:
            raw = batch_bytes(part, at, timestamps=[NOON + 500_000] * len(part))
            result = classify(memory, decode(walk(raw), at, 0, 1, 600_000), RULES)
            offset = log.bounds(TOPICS.plays.name, partition)[1]
            headers = result.headers(offset, settings.rules.fingerprint).encode()
            log.append(TOPICS.plays.name, partition, result.value, headers, result.watermark)
            at += len(part)


def _play(number: int, second: int, artist: int) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
    return record(event(number, played_at=NOON + second * 1000, artist_id=artist))


def fetch(log: MemoryLog, topic: str, partition: int, start: int, count: int) -> Fetch | None:
    records = list(log.read(topic, partition, start, start + count))
    raw = b"".join(
        batch_bytes([(None, entry.value, list(entry.headers))], entry.offset, timestamps=[entry.timestamp])  # type: ignore[arg-type]
        for entry in records
    )
    return Fetch(topic, partition, start, start + len(records), walk(raw)) if records else None


async def drive(log: MemoryLog, appender: MemoryAppender, count: int) -> None:
    """Count every partition, then rank every shard, from what the logs say, to the end."""
    for partition in range(SETTINGS.partitions):
        lane = restore_count(log, SETTINGS, partition, appender)
        while part := fetch(log, TOPICS.plays.name, partition, lane.next_offset, count):
            await lane.take(part)
    for shard in range(SETTINGS.shards):
        ranker = restore_rank(log, SETTINGS, shard, appender)
        await ranker.publish()
        while part := fetch(log, TOPICS.counts.name, shard, ranker.next_offset, count):
            await ranker.take(part)


def finals(log: MemoryLog) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """(window end, shard) → places; a repeated final must be the same."""
    found: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for shard in range(SETTINGS.shards):
        for entry in log.records[TOPICS.tops.name, shard]:
            headers = TopHeaders.decode(entry.headers)
            if headers.final:
                rows = pa.ipc.open_stream(entry.value).read_all().to_pylist()
                places = [(row["artist_id"], row["plays"]) for row in rows]
                assert found.setdefault((headers.window_end, shard), places) == places
    return found


def expected(plays: list[list[Play]]) -> dict[tuple[int, int], list[tuple[int, int]]]:
    accepted: list[Play] = []
    for entries in plays:
        watermark = 0
        for second, artist in entries:
            watermark = max(watermark, second)
            if second >= watermark - SETTINGS.grace_seconds:
                accepted.append((second, artist))
    lists = {}
    for end in range(0, 391, 10):
        by_shard: dict[int, Counter[int]] = defaultdict(Counter)
        for second, artist in accepted:
            if end - 40 <= second < end:
                by_shard[artist % 2][artist] += 1
        for shard, counts in by_shard.items():
            places = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:3]
            lists[NOON + end * 1000, shard] = places
    return lists


timeline = st.lists(st.tuples(st.integers(0, 90), st.integers(1, 4)), min_size=10, max_size=40).map(
    lambda plays: sorted(plays, key=lambda play: play[0] + play[1] * 3)
)


@settings(max_examples=40, deadline=None)
@given(st.tuples(timeline, timeline), st.integers(1, 4), st.lists(st.tuples(st.integers(0, 70), st.booleans()), max_size=3))
def test_final_lists_are_exact_through_crashes_before_and_after_any_write(
    plays: tuple[list[Play], list[Play]], count: int, crashes: list[tuple[int, bool]]
) -> None:
    log = MemoryLog()
    classified(log, list(plays), SETTINGS)
    for lives, dies_after in crashes:
        appender = MemoryAppender(log)
        appender.lives, appender.dies_after = lives, dies_after
        try:
            asyncio.run(drive(log, appender, count))
        except CrashError:
            continue
    asyncio.run(drive(log, MemoryAppender(log), count))
    assert finals(log) == expected(list(plays))


# Out of order within the grace: what comes after a restart also belongs to panes that were begun long before it.
DENSE = [[(10 + step * 2 - 5 * (step % 3 == 1), step % n + 1) for step in range(17)] for n in (2, 1)]


@pytest.mark.parametrize("dies_after", [False, True])
def test_a_crash_at_every_single_write_leaves_exact_final_lists(dies_after: bool) -> None:
    crashed = 0
    for lives in itertools.count():
        log = MemoryLog()
        classified(log, DENSE, SETTINGS)
        appender = MemoryAppender(log)
        appender.lives, appender.dies_after = lives, dies_after
        try:
            asyncio.run(drive(log, appender, 2))
        except CrashError:
            crashed += 1
            asyncio.run(drive(log, MemoryAppender(log), 2))
        assert finals(log) == expected(DENSE), f"after a crash at write {lives}"
        if crashed == lives:  # this run came through: every write was tried
            break
    assert crashed > 30


def test_rank_s_position_stays_until_its_final_lists_are_acknowledged() -> None:
    log = MemoryLog()
    classified(log, [[(0, 1), (5, 2)], [(3, 1)]], SETTINGS)
    appender = MemoryAppender(log)

    async def until_lists_are_lost() -> tuple[int, int]:
        ranker = restore_rank(log, SETTINGS, 0, appender)
        for partition in range(SETTINGS.partitions):
            lane = restore_count(log, SETTINGS, partition, appender)
            while part := fetch(log, TOPICS.plays.name, partition, lane.next_offset, 5):
                await lane.take(part)
        before, appender.lives = ranker.next_offset, 0
        part = fetch(log, TOPICS.counts.name, 0, before, 100)
        assert part is not None
        with pytest.raises(CrashError):
            await ranker.take(part)
        return before, ranker.next_offset

    before, after = asyncio.run(until_lists_are_lost())
    assert after == before
