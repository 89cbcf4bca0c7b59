"""Deleting what every reader is past, and what others delete, on a real broker and the real engine."""

import os
import re
import signal
import subprocess
import threading
from contextlib import suppress

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from pipeline import admin
from pipeline.errors import Exit
from pipeline.log.positions import last_final, last_told
from pipeline.log.read import Log, log_reader, undisturbed
from pipeline.log.since import last_valid
from pipeline.settings import Settings, load
from pipeline.store.retention import Trimmer
from pipeline.store.sink import Progress
from pipeline.topics import Topic, group_of, topics_of
from pipeline.verify.readlog import end_offsets
from tests.end_to_end.processes import SECONDS, freeze, held_at, kill, processes, wait_for
from tests.end_to_end.test_pipeline import SMALL, published, verdict_of


def short(settings: Settings, **changes: object) -> Settings:
    """So short a memory and window that of 20 minutes most can be deleted, and records so small that there is a half-way."""
    seconds = {"horizon": 120, "grace": 60, "max_ahead": 30, "slot": 10, "window": 60, "pane": 10}
    rules = {f"{name}_seconds": value for name, value in seconds.items()}
    return load(**(settings.model_dump() | rules | {"fetch_bytes": 1 << 14} | changes))


def trimming(settings: Settings) -> Settings:
    return short(settings, keep_seconds=5, trim_every_seconds=0.2)


def bounds(settings: Settings, topic: Topic) -> list[tuple[int, int]]:
    with log_reader(settings.bootstrap) as reader:
        return [reader.bounds(topic.name, partition) for partition in range(topic.partitions)]


def lows(settings: Settings, topic: Topic) -> list[int]:
    return [low for low, _ in bounds(settings, topic)]


def reached(settings: Settings) -> int:
    """Source offsets classified, by the last record of each partition."""
    topic, total = topics_of(settings).plays.name, 0
    with log_reader(settings.bootstrap) as reader:
        for partition in range(settings.partitions):
            found = last_valid(reader, topic, partition, *reader.bounds(topic, partition))
            total += found[1].last + 1 if found else 0
    return total


def all_classified(settings: Settings) -> bool:
    return reached(settings) == sum(end_offsets(settings))


def exact(settings: Settings) -> None:
    verdict = verdict_of(settings)
    assert verdict.exact, verdict.sentence


def dates(settings: Settings, topic: Topic) -> list[list[int]]:
    """By partition, the watermarks that the records left are dated by (epoch ms)."""
    with log_reader(settings.bootstrap) as reader:
        places = [(topic.name, partition) for partition in range(topic.partitions)]
        return [undisturbed(lambda place=place: dated(reader, *place)) for place in places]


def dated(reader: Log, topic: str, partition: int) -> list[int]:
    return [record.timestamp for record in reader.read(topic, partition, *reader.bounds(topic, partition))]


def trimmed(settings: Settings) -> None:
    """Wait until of the 20 minutes the first ten are deleted from every derived log. Their number says less: what was told
    twice, by a worker and by its successor, lies there twice."""
    topics, half = topics_of(settings), SMALL.minutes * 60_000 // 2
    for topic in (topics.plays, topics.counts):
        wait_for(f"{topic.name} cut", lambda topic=topic: all(at[0] > max(at) - half for at in dates(settings, topic)))
    for topic in (topics.events, topics.tops, topics.dlq, topics.artists):
        assert lows(settings, topic) == [0] * topic.partitions, topic.name


def test_a_store_that_comes_late_finds_all_it_needs_and_then_most_is_deleted(settings: Settings) -> None:
    settings = trimming(settings)
    published(settings)
    with processes(settings) as run:
        run.start("rank")
        run.start("classify")
        wait_for("all outcomes", lambda: all_classified(settings))
        run.start("store")
        exact(settings)
        trimmed(settings)
        exact(settings)
        for name in ("rank", "classify", "store"):
            assert "nothing is deleted for now" not in run.log(name)


def test_workers_that_come_back_late_find_all_they_need(settings: Settings) -> None:
    settings = trimming(settings)
    plays = topics_of(settings).plays
    published(settings)
    with processes(settings) as run:
        run.start("store")
        rank, classify = run.start("rank"), held_at(run, 15_000)
        wait_for("half of the outcomes", lambda: reached(settings) >= 15_000)
        kill(classify)
        assert not all_classified(settings), "killed too late to be behind"
        wait_for("something deleted", lambda: all(lows(settings, plays)))
        kill(rank)
        run.start("classify")
        wait_for("all outcomes", lambda: all_classified(settings))
        assert any(low < high * 0.6 for low, high in bounds(settings, plays)), "count is far behind, and needs the rest"
        run.start("rank")
        exact(settings)
        trimmed(settings)
        exact(settings)


def test_a_worker_that_was_stopped_while_the_log_was_cut_goes_on(settings: Settings) -> None:
    settings = trimming(settings)
    plays = topics_of(settings).plays
    published(settings)
    with processes(settings) as run:
        run.start("store")
        first = run.start("rank")
        classify = held_at(run, 3_000)
        wait_for("some outcomes", lambda: reached(settings) >= 3_000)
        freeze(first)
        stood = committed(settings, plays)
        kill(classify)
        classify = held_at(run, 15_000)
        second = run.start("rank", ready=False)
        wait_for("the log cut behind the second", lambda: all(map(int.__gt__, lows(settings, plays), stood)))
        kill(classify)
        assert not all_classified(settings), "nothing is left to go on with"
        os.kill(first.pid, signal.SIGCONT)
        kill(second)
        run.start("classify")
        with run.supervised({"rank": first}):
            exact(settings)
            trimmed(settings)
            exact(settings)


def committed(settings: Settings, topic: Topic) -> list[int]:
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": group_of(settings, "rank")})
    try:
        asked = [TopicPartition(topic.name, partition) for partition in range(topic.partitions)]
        return [max(0, entry.offset) for entry in consumer.committed(asked, timeout=SECONDS)]
    finally:
        consumer.close()


def finished(settings: Settings) -> None:
    """All classified, counted and ranked, and nothing stored."""
    published(settings, SMALL.model_copy(update={"events": 6_000}))
    topics = topics_of(settings)

    def ranked() -> bool:
        with log_reader(settings.bootstrap) as reader:
            told = last_told(reader, topics.counts.name, 0, range(settings.partitions))
            final = last_final(reader, topics.tops.name, 0, settings.rules.grace_ms)
        counted = [told[partition].offset + 1 for partition in sorted(told)]
        return counted == end_offsets(settings) and final is not None

    with processes(settings) as run:
        run.start("rank")
        run.start("classify")
        wait_for("all counted and ranked", ranked)


def test_what_may_be_deleted_is_deleted_a_round_later_and_keep_seconds_are_kept_behind_it(settings: Settings) -> None:
    settings = short(settings)
    finished(settings)
    topics = topics_of(settings)
    derived = {"plays": topics.plays, "artist-counts": topics.counts}
    progress = {kind: Progress(topic.name) for kind, topic in derived.items()}
    for kind, topic in derived.items():
        progress[kind].next.update({partition: high for partition, (_, high) in enumerate(bounds(settings, topic))})
    at = []
    for keep in (600, 0):
        trimmer = Trimmer(short(settings, keep_seconds=keep), progress, threading.Event())
        before = [lows(settings, topic) for topic in derived.values()]
        trimmer.trim()
        assert [lows(settings, topic) for topic in derived.values()] == before
        trimmer.trim()
        at.append([low for topic in derived.values() for low in lows(settings, topic)])
    # How many records there are depends on what each fetch brought; of a few announcements keep may hold all.
    assert all(more < less for more, less in zip(*at, strict=True))
    assert all(low > 0 for low in at[0][: topics.plays.partitions])


def cut(settings: Settings, topic: Topic, *, leave: int) -> None:
    """As kafka-delete-records does: all but the last records of each partition."""
    ends = enumerate(high for _, high in bounds(settings, topic))
    admin.delete_records(settings, {(topic.name, partition): high - leave for partition, high in ends})


def test_plays_cut_by_others_stop_each_reader_with_a_sentence(settings: Settings) -> None:
    settings = short(settings)
    finished(settings)
    cut(settings, topics_of(settings).plays, leave=1)
    sentences = {
        "classify": "are gone, which hold ids that classify must remember; start a new run",
        "rank": "are gone, which hold plays of panes that count must go on with; start a new run",
        "store": "but the store has it only to 0: offsets 0 to",
    }
    with processes(settings) as run:
        for name, sentence in sentences.items():
            assert run.ended(run.start(name, ready=False)) == Exit.STAY_DOWN, run.log(name)
            assert sentence in run.log(name)


def test_counts_cut_by_others_stop_rank_and_sink_with_a_sentence(settings: Settings) -> None:
    settings = short(settings)
    finished(settings)
    cut(settings, topics_of(settings).counts, leave=1)
    with processes(settings) as run:
        assert run.ended(run.start("rank", ready=False)) == Exit.STAY_DOWN, run.log("rank")
        assert "artist-counts partition 0 was cut" in run.log("rank")
        assert "those since" in run.log("rank")
        assert run.ended(run.start("store", ready=False)) == Exit.STAY_DOWN, run.log("store")
        assert "artist-counts partition 0 begins at offset" in run.log("store")


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("classify", "events", r"the events at offsets \d+ to \d*9 were deleted before they were classified"),
        ("store", "plays", r"was cut: it begins at offset \d*0, the next record to store lay at \d+;"),
    ],
)
def test_a_position_deleted_under_a_running_reader_stops_it_with_a_sentence(
    settings: Settings, name: str, kind: str, sentence: str
) -> None:
    admin.ensure_topics(settings)
    topic: Topic = getattr(topics_of(settings), kind)
    producer = Producer({"bootstrap.servers": settings.bootstrap})
    with processes(settings) as run:
        process = run.start(name)
        for _ in range(5):  # a fetch that is under way may still bring it all: then nothing is lost, and it goes on
            os.kill(process.pid, signal.SIGSTOP)
            for number in range(10 * topic.partitions):
                producer.produce(topic.name, b"other", partition=number % topic.partitions)
            assert producer.flush(SECONDS) == 0
            cut(settings, topic, leave=0)
            os.kill(process.pid, signal.SIGCONT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS / 4)
                break
        assert process.returncode == Exit.STAY_DOWN, run.log(name)
        assert re.search(sentence, run.log(name)), run.log(name)
        assert run.ended(run.start(name, ready=False)) == Exit.STAY_DOWN, run.log(name)
