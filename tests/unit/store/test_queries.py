"""The questions of `listening top`, against brute force in plain Python."""

import random
from collections import Counter

import pytest

from pipeline.errors import ListeningError
from pipeline.settings import Settings
from pipeline.store.client import Pool
from pipeline.store.queries import newest_final, outcome_totals, story, top, watermarks
from pipeline.store.readers import ArtistsReader, CountsReader, PlaysReader, TopsReader
from pipeline.store.records import Record
from pipeline.store.writer import ClickHouseWriter
from tests.unit.store.conftest import Put
from tests.unit.store.made import T0, Made, artist, counts, event_id, play, plays
from tests.unit.store.made import top as top_record

PANE = 10_000
Plays = list[tuple[int, int, int]]
"""(partition, event time, artist_id)"""


def some_plays(seed: int, partitions: int = 2, minutes: int = 10) -> Plays:
    dice = random.Random(seed)
    return [
        (dice.randrange(partitions), T0 + dice.randrange(minutes * 60_000), int(dice.paretovariate(0.8)) % 50 + 1)
        for _ in range(3000)
    ]


def announced(some: Plays, partition: int, rules: str, watermark: int, shards: int = 1, shard: int = 0) -> list[Made]:
    """Absolute counts in three announcements, each of all panes so far."""
    mine = [(time - time % PANE, artist) for of, time, artist in some if of == partition and artist % shards == shard]
    return [
        counts(
            partition,
            [(*key, number) for key, number in Counter(mine[: len(mine) * part // 3]).items()],
            counted=part,
            watermark=watermark * (part == 3),
            rules=rules,
        )
        for part in (1, 2, 3)
    ]


def ranked(some: Plays, start: int, end: int, k: int) -> list[tuple[int, int]]:
    found = Counter(artist for _, time, artist in some if start <= time < end)
    return sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))[:k]


def fill(put: Put, settings: Settings, some: Plays, watermark: int) -> None:
    rules = settings.rules.fingerprint
    for partition in range(settings.partitions):
        put(PlaysReader(rules), partition, [plays(0, [], rules, ticks=1, watermark=watermark + partition)])
        put(CountsReader(rules), 0, announced(some, partition, rules, watermark + partition))


@pytest.mark.parametrize(("window", "at"), [(3600, 600_000), (60, 300_000), (10, 10_000), (120, 590_000), (600, 1_200_000)])
def test_top_of_any_window_at_any_instant_is_what_brute_force_finds(
    served: Settings, put: Put, window: int, at: int
) -> None:
    some = some_plays(1)
    fill(put, served, some, T0 + 600_000)
    answer = top(served, 7, window, T0 + at)
    assert [(row.artist_id, row.plays) for row in answer.rows] == ranked(some, T0 + at - window * 1000, T0 + at, 7)
    assert [row.rank for row in answer.rows] == list(range(1, len(answer.rows) + 1))
    assert (answer.start_ms, answer.end_ms) == (T0 + at - window * 1000, T0 + at)


def test_the_default_instant_is_the_smallest_watermark_of_all_partitions(served: Settings, put: Put) -> None:
    some = some_plays(2)
    fill(put, served, some, T0 + 345_678)
    answer = top(served, 5, 60)
    assert answer.watermark_ms == T0 + 345_678
    assert answer.end_ms == T0 + 340_000
    assert not answer.final
    assert answer.note == ""
    assert [(row.artist_id, row.plays) for row in answer.rows] == ranked(some, T0 + 280_000, T0 + 340_000, 5)


def test_a_partition_not_heard_from_holds_the_watermark_at_zero(served: Settings, put: Put) -> None:
    rules = served.rules.fingerprint
    put(PlaysReader(rules), 0, [plays(0, [], rules, ticks=1, watermark=T0)])
    answer = top(served, 5, 60)
    assert (answer.rows, answer.watermark_ms, answer.final) == ([], 0, False)
    assert "no watermark" in answer.note


def test_rounding_to_whole_panes_is_said(served: Settings, put: Put) -> None:
    fill(put, served, some_plays(3), T0 + 600_000)
    answer = top(served, 5, 65, T0 + 123_456)
    assert (answer.start_ms, answer.end_ms) == (T0 + 60_000, T0 + 120_000)
    assert "2027-01-15 08:02:03 UTC was rounded down to 2027-01-15 08:02:00 UTC" in answer.note
    assert "65 s was rounded to 60 s" in answer.note
    assert top(served, 5, 3, T0 + 20_000).start_ms == T0 + 10_000


def test_a_window_is_final_when_the_watermark_passed_its_end_by_the_grace(served: Settings, put: Put) -> None:
    fill(put, served, some_plays(4), T0 + 600_000)
    assert top(served, 1, 60, T0 + 540_000).final
    assert not top(served, 1, 60, T0 + 550_000).final
    assert "still to come" in top(served, 1, 60, T0 + 700_000).note


def test_a_window_is_not_final_while_its_counts_are_not_there(served: Settings, put: Put) -> None:
    rules = served.rules.fingerprint
    for partition in (0, 1):
        put(PlaysReader(rules), partition, [plays(0, [], rules, ticks=1, watermark=T0 + 600_000)])
    put(CountsReader(rules), 0, announced(some_plays(5), 0, rules, T0 + 600_000))
    answer = top(served, 1, 60, T0 + 300_000)
    assert not answer.final
    assert "counting is behind" in answer.note
    assert watermarks(served).counted == 0


def test_names_are_joined_and_a_missing_one_is_none(served: Settings, put: Put) -> None:
    rules = served.rules.fingerprint
    for partition in (0, 1):
        put(PlaysReader(rules), partition, [plays(0, [], rules, ticks=1, watermark=T0 + 100_000)])
    put(CountsReader(rules), 0, [counts(0, [(T0, 5, 9), (T0, 6, 9)], counted=1, watermark=T0, rules=rules)])
    put(ArtistsReader(), 0, [([], artist(6, "Old")), ([], artist(6, 'It\'s; "new"'))])
    assert [(row.artist_id, row.name) for row in top(served, 5, 60, T0 + 60_000).rows] == [(5, None), (6, 'It\'s; "new"')]


@pytest.mark.parametrize(("k", "window", "at"), [(0, 60, 0), (1, 0, 0), (-1, 60, 0), (1, 60, -5)])
def test_a_question_without_sense_is_refused(settings: Settings, k: int, window: int, at: int) -> None:
    with pytest.raises(ListeningError, match="at least 1"):
        top(settings, k, window, at)


def lists_of(some: Plays, ends: list[int], shard: int, k: int, watermark: int) -> list[Made]:
    """What two shards publish: provisional lists that are wrong, too long or of an older count, then final ones."""
    made = []
    for end in ends:
        mine = [entry for entry in some if entry[2] % 2 == shard]
        wrong = [(1000 + rank * 2 + shard, 999 - rank) for rank in range(k)]
        made.append(top_record(end, shard, wrong, final=False, counted=5, k=k))
        right = ranked(mine, end - 3_600_000, end, k)
        made.append(top_record(end, shard, right, final=end <= watermark, counted=4 if end <= watermark else 6, k=k))
    return made


def test_the_merged_view_over_two_shards_is_what_brute_force_finds(put: Put, pool: Pool) -> None:
    k, some = 5, some_plays(6)
    ends = [T0 + minute * 60_000 for minute in range(1, 11)]
    for shard, watermark in ((0, T0 + 480_000), (1, T0 + 420_000)):
        put(TopsReader(), shard, lists_of(some, ends, shard, k, watermark))
    # A list that became shorter than what was published before: artists 1 to 4 in, then out again.
    put(TopsReader(), 0, [top_record(T0, 0, [(2, 9), (4, 8)], final=False, counted=1, k=k)])
    put(TopsReader(), 0, [top_record(T0, 0, [(4, 7)], final=True, counted=2, k=k)])
    rows = pool.base.query(
        "SELECT toUnixTimestamp64Milli(window_end) AS at, rank, artist_id, plays, final "
        "FROM top_artists_merged ORDER BY at, rank"
    ).result_rows
    for end in ends:
        expected = ranked(some, end - 3_600_000, end, k)
        assert [(a, n) for at, _, a, n, _ in rows if at == end] == expected
        assert [rank for at, rank, *_ in rows if at == end] == list(range(1, len(expected) + 1))
        assert {final for at, *_, final in rows if at == end} == {end <= T0 + 420_000}
    assert [row[1:] for row in rows if row[0] == T0] == [(1, 4, 7, True)]


def test_the_newest_final_list_waits_for_every_shard_that_has_plays(served: Settings, put: Put) -> None:
    settings = served.model_copy(update={"shards": 2})
    rules, some = served.rules.fingerprint, some_plays(7)
    ends = [T0 + minute * 60_000 for minute in range(1, 8)]
    assert newest_final(settings, 3) is None
    for partition in (0, 1):
        put(PlaysReader(rules), partition, [plays(0, [], rules, ticks=1, watermark=T0 + 540_000)])
        for shard in (0, 1):
            put(CountsReader(rules), shard, announced(some, partition, rules, T0 + 540_000, shards=2, shard=shard))
    put(TopsReader(), 0, lists_of(some, ends, 0, 5, T0 + 480_000))
    assert newest_final(settings, 3) is None, "shard 1 has plays, but no list yet"
    put(TopsReader(), 1, lists_of(some, ends[:-1], 1, 5, T0 + 480_000))
    answer = newest_final(settings, 3)
    assert answer
    assert answer.final
    assert answer.end_ms == ends[-2]
    assert [(row.artist_id, row.plays) for row in answer.rows] == ranked(some, ends[-2] - 3_600_000, ends[-2], 3)
    before = newest_final(settings, 3, before_ms=ends[2] + 1)
    assert before
    assert before.end_ms == ends[2]


def test_the_story_of_an_event_tells_each_copy_in_log_order(served: Settings, put: Put) -> None:
    rules, twice = served.rules.fingerprint, {"event_id": event_id(0).bytes, "first_offset": 0}
    rows = [play(0), play(1), play(2, "duplicate", **twice), play(3, "duplicate", **twice, sent_at=T0 + 99)]
    put(PlaysReader(rules), 1, [plays(0, rows, rules)])
    copies = story(served, str(event_id(0)))
    assert [(copy.partition, copy.offset, copy.outcome, copy.first_offset) for copy in copies] == [
        (1, 0, "accepted", 0),
        (1, 2, "duplicate", 0),
        (1, 3, "duplicate", 0),
    ]
    assert (copies[2].sent_at_ms, copies[2].appended_at_ms) == (T0 + 99, T0 + 30)
    assert story(served, event_id(77)) == []
    with pytest.raises(ListeningError, match="must be a UUID"):
        story(served, "' OR 1")


def test_an_id_s_text_in_the_store_is_the_event_s_own(put: Put, settings: Settings, pool: Pool) -> None:
    rules = settings.rules.fingerprint
    put(PlaysReader(rules), 0, [plays(0, [play(offset) for offset in range(100)], rules)])
    rows = pool.base.query("SELECT source_offset, toString(event_id), event_time FROM plays FINAL ORDER BY 1").result_rows
    assert [row[1] for row in rows] == [str(event_id(offset)) for offset in range(100)]
    assert [row[2].timestamp() if row[2].tzinfo else row[2] for row in rows][:1]
    millis = pool.base.query("SELECT toUnixTimestamp64Milli(event_time) FROM plays FINAL ORDER BY source_offset").result_rows
    assert [row[0] for row in millis] == [T0 + offset * 10 for offset in range(100)]


def test_totals_add_up_over_batches_even_if_they_were_sunk_twice(served: Settings, put: Put) -> None:
    rules = served.rules.fingerprint
    made = [
        plays(0, [play(0), play(1, "late"), play(2, "invalid")], rules),
        plays(1, [play(3, "skipped"), play(4, "duplicate", first_offset=0)], rules, ticks=2),
    ]
    for _ in range(2):
        put(PlaysReader(rules), 0, made)
    assert outcome_totals(served) == {
        "records": 5,
        "ticks": 2,
        "absent": 0,
        "accepted": 1,
        "duplicates": 1,
        "late": 1,
        "skipped": 1,
        "suspect": 0,
        "invalid": 1,
    }


def test_a_late_record_of_an_older_count_changes_nothing(served: Settings, pool: Pool) -> None:
    rules, writer = served.rules.fingerprint, ClickHouseWriter(pool.base, served.database)
    for counted, number in ((9, 30), (4, 12)):
        made = counts(0, [(T0, 5, number)], counted=counted, watermark=T0 + counted, rules=rules)
        for table, rows in CountsReader(rules).read(Record(0, 0, *made)) or []:
            writer.write(table, rows)
    assert [row.plays for row in top(served, 1, 60, T0 + 60_000).rows] == [30]
    query = "SELECT counted FROM count_positions FINAL"
    assert pool.base.query(query).result_rows == [(9,)]
