"""What count says of each fetch, record by record, against counters of Python."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codec.batches import walk
from pipeline.codec.container import COUNTS_SCHEMA, PLAYS_SCHEMA, read_container, write_container
from pipeline.codec.headers import CountsHeaders, PlaysHeaders
from pipeline.faustlib.fetch import Fetch
from pipeline.settings import load
from pipeline.topics import topics_of
from pipeline.workers.count import CountLane
from tests.unit.batches import NOON, batch_bytes
from tests.unit.log.memory_log import MemoryLog
from tests.unit.workers.test_count_and_rank import MemoryAppender

SETTINGS = load(partitions=4, shards=3, pane_seconds=10, grace_seconds=600)
COUNTS, PARTITION, MOST = topics_of(SETTINGS).counts.name, 2, 3
Play = tuple[int, int, str]  # seconds since NOON, artist, outcome
Told = tuple[int, int, int, int, int]  # source partition, pane, artist, plays, version

outcomes = st.sampled_from(["accepted", "accepted", "accepted", "duplicate", "late", "skipped", "invalid"])
artists = st.integers(-3, 5) | st.sampled_from([-(2**63), 2**63 - 1])
records = st.lists(st.tuples(st.integers(0, 59), artists, outcomes), max_size=12)


@pytest.fixture(scope="module", autouse=True)
def _announcements_in_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.workers.count._ROWS_PER_RECORD", MOST)
        yield


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(records, min_size=1, max_size=4), max_size=4))
def test_each_fetch_tells_every_shard_in_order_and_in_parts_what_changed_and_how_often_it_was_played_so_far(
    fetches: list[list[list[Play]]],
) -> None:
    log, model = MemoryLog(), Counter[tuple[int, int]]()
    lane, offset, first = CountLane(SETTINGS, PARTITION, MemoryAppender(log)), 0, 0
    for number, fetched in enumerate(fetches):
        before = {shard: len(log.records[COUNTS, shard]) for shard in range(3)}
        raw, first_told, changed = b"", first, Counter[tuple[int, int]]()
        for plays in fetched:
            raw += record_of(plays, offset, first, watermark=NOON + number)
            offset, first = offset + 1, first + len(plays) + 1
            changed.update((second // 10 * 10, artist) for second, artist, outcome in plays if outcome == "accepted")
        model.update(changed)
        asyncio.run(lane.take(Fetch("plays", PARTITION, offset - len(fetched), offset, walk(raw))))
        for shard in range(3):
            rows: list[Told] = [
                (PARTITION, NOON + pane * 1000, artist, model[pane, artist], first - 1)
                for pane, artist in sorted(changed)
                if artist % 3 == shard
            ]
            parts = [rows[at : at + MOST] for at in range(0, len(rows), MOST)] or [[]]
            since = NOON + number - 1 if number else 0
            expected = [
                (CountsHeaders(PARTITION, first_told, since, first - 1, NOON + number, part, len(parts), lane_rules()), held)
                for part, held in enumerate(parts, 1)
            ]
            said = log.records[COUNTS, shard][before[shard] :]
            assert [(CountsHeaders.decode(record.headers), told(record.value)) for record in said] == expected


def record_of(plays: list[Play], offset: int, first: int, watermark: int) -> bytes:
    """A `plays` record in a batch of its own: these plays and a tick."""
    times = [None if outcome == "invalid" else NOON + second * 1000 for second, _, outcome in plays]
    known = {
        "event_time": pl.Series(times, dtype=pl.Int64),
        "artist_id": [None if outcome == "invalid" else artist for _, artist, outcome in plays],
        "outcome": [outcome for _, _, outcome in plays],
    }
    frame = pl.DataFrame({name: known.get(name, pl.Series([None] * len(plays))) for name in PLAYS_SCHEMA})
    frame = frame.select(pl.col(name).cast(dtype) for name, dtype in PLAYS_SCHEMA.items())
    labels = ("accepted", "duplicate", "late", "skipped", "suspect", "invalid")
    counts = tuple(sum(outcome == label for _, _, outcome in plays) for label in labels)
    headers = PlaysHeaders(offset, first, first + len(plays), counts, 1, 0, watermark, lane_rules())
    return batch_bytes([(None, write_container(frame) if plays else b"", headers.encode())], offset)


def told(value: bytes) -> list[Told]:
    frame = read_container(value, COUNTS_SCHEMA)
    return list(zip(*(frame[name].to_physical().to_list() for name in COUNTS_SCHEMA), strict=True))


def lane_rules() -> str:
    return SETTINGS.rules.fingerprint
