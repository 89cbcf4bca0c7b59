"""The whole pipeline on a real broker and the real engine: exact through kills, zombies, rogue records and poison."""

import json
import os
import signal
from collections import Counter

import pyarrow as pa
import pyarrow.ipc
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from pipeline.admin import ensure_topics
from pipeline.codec.headers import PlaysHeaders
from pipeline.errors import Exit
from pipeline.log.read import log_reader
from pipeline.settings import Settings
from pipeline.store.ask import rows
from pipeline.store.queries import newest_final, top
from pipeline.topics import group_of, topics_of
from pipeline.verify.verdict import Verdict
from pipeline.verify.verify import verify
from producers.produce import Produced, produce
from producers.scenarios.model import Scenario
from tests.end_to_end.processes import SECONDS, freeze, held_at, kill, let_on, processes, wait_for

SMALL = Scenario(events=30_000, minutes=20, artists=500, users=4_000, release={"at": "minute 8"}, seed=5)


def published(settings: Settings, scenario: Scenario = SMALL) -> Produced:
    ensure_topics(settings)
    return produce(settings, scenario, show_progress=False)


def verdict_of(settings: Settings) -> Verdict:
    return verify(settings, timeout=SECONDS, show_progress=False)


def exact(settings: Settings) -> Verdict:
    """The verdict, asserted to be exact, with every copy caught and no original dropped."""
    verdict = verdict_of(settings)
    assert verdict.exact, json.dumps(verdict.as_json(), indent=1)[:4000]
    assert verdict.truth is not None
    assert verdict.truth.precision == 1.0
    assert all(kind.recall in (None, 1.0) for kind in verdict.truth.kinds)
    return verdict


def classified(settings: Settings) -> int:
    """Source offsets for which `plays` holds valid outcomes, over all partitions."""
    topic, total = topics_of(settings).plays.name, 0
    with log_reader(settings.bootstrap) as reader:
        for partition in range(settings.partitions):
            low, high = reader.bounds(topic, partition)
            for record in reader.read(topic, partition, low, high):
                headers = PlaysHeaders.valid_at(record.offset, record.headers)
                total += headers.last - headers.first + 1 if headers else 0
    return total


def outcomes(settings: Settings) -> list[tuple[int, int, str]]:
    """(partition, source offset, outcome) of every row in `plays`, read by Arrow itself."""
    topic = topics_of(settings).plays.name
    found: list[tuple[int, int, str]] = []
    with log_reader(settings.bootstrap) as reader:
        for partition in range(settings.partitions):
            low, high = reader.bounds(topic, partition)
            for record in reader.read(topic, partition, low, high):
                if PlaysHeaders.valid_at(record.offset, record.headers) and record.value:
                    rows_of = pa.ipc.open_stream(record.value).read_all().to_pylist()
                    found.extend((partition, row["offset"], row["outcome"]) for row in rows_of)
    return found


def slowed(settings: Settings) -> Settings:
    """Small fetches, so that there is a half-way to be killed at."""
    return settings.model_copy(update={"fetch_bytes": 1 << 14})


def test_a_run_with_classify_killed_half_way_and_rogue_records_is_exact(settings: Settings) -> None:
    settings = slowed(settings)
    produced = published(settings)
    with processes(settings) as run:
        run.start("store")
        run.start("rank")
        classify = held_at(run, 3_000)
        wait_for("some outcomes", lambda: classified(settings) >= 3_000)
        kill(classify)
        half = classified(settings)
        assert half < produced.published, "killed too late to prove anything"
        _append_rogues(settings)
        run.start("classify")
        verdict = exact(settings)
        assert verdict.offsets == produced.published + verdict.ticks
        _answers_agree(settings, produced)


def _append_rogues(settings: Settings) -> None:
    """Records of a writer that knows nothing: no headers, a wrong place, a place that was right once."""
    producer = Producer({"bootstrap.servers": settings.bootstrap})
    topic = topics_of(settings).plays.name
    stale = PlaysHeaders(0, 0, 9, (10, 0, 0, 0, 0, 0), 0, 0, 2**41, settings.rules.fingerprint).encode()
    for partition in range(settings.partitions):
        for headers in ([], stale):
            producer.produce(topic, value=b"rogue", partition=partition, headers=headers)
    assert producer.flush(SECONDS) == 0


def _answers_agree(settings: Settings, produced: Produced) -> None:
    """The published final list, the list by SQL over panes, and a sum over the stored plays say the same."""
    final = newest_final(settings, 10)
    assert final is not None
    assert final.final
    by_panes = top(settings, 10, settings.window_seconds, final.end_ms)
    assert [(place.artist_id, place.plays) for place in by_panes.rows] == [(p.artist_id, p.plays) for p in final.rows]
    counted: Counter[int] = Counter()
    for row in rows(settings, "SELECT artist_id, toUnixTimestamp64Milli(event_time) AS at, outcome FROM plays FINAL"):
        if row["outcome"] == "accepted" and final.start_ms <= row["at"] < final.end_ms:
            counted[row["artist_id"]] += 1
    expected = sorted(counted.items(), key=lambda entry: (-entry[1], entry[0]))[:10]
    assert [(place.artist_id, place.plays) for place in final.rows] == expected
    assert all(place.name for place in final.rows)
    assert produced.hit_artist_id in counted


def test_a_zombie_and_its_successor_and_two_shards_leave_an_exact_result(settings: Settings) -> None:
    settings = slowed(settings.model_copy(update={"shards": 2}))
    published(settings)
    with processes(settings) as run:
        run.start("store")
        rank = run.start("rank")
        first = held_at(run, 1_000)
        wait_for("some outcomes", lambda: classified(settings) >= 1_000)
        freeze(first)  # longer than its session: its partitions go to the second
        let_on(settings)  # it wakes up with fetches in hand
        second = run.start("classify", ready=False)
        before = classified(settings)
        wait_for("the successor at work", lambda: classified(settings) > before + 2_000)
        os.kill(first.pid, signal.SIGCONT)
        kill(rank)
        run.start("rank")
        exact(settings)
        assert second.poll() is None
        shards = rows(settings, "SELECT DISTINCT shard FROM top_artists FINAL WHERE final ORDER BY shard")
        assert [row["shard"] for row in shards] == [0, 1]


def test_a_worker_stopped_for_longer_than_its_session_goes_on_by_itself(settings: Settings) -> None:
    ensure_topics(settings)
    client = AdminClient({"bootstrap.servers": settings.bootstrap})
    group = group_of(settings, "classify")

    def members() -> int:
        return len(client.describe_consumer_groups([group])[group].result().members)

    with processes(settings) as run:
        classify = run.start("classify")
        wait_for("a member", lambda: members() == 1)
        freeze(classify)
        produced = published(settings, SMALL.model_copy(update={"events": 2_000, "minutes": 10}))
        wait_for("the session is over", lambda: members() == 0)
        os.kill(classify.pid, signal.SIGCONT)
        wait_for("all outcomes", lambda: classified(settings) >= produced.published)
        assert classify.poll() is None


def test_every_process_killed_at_once_goes_on_without_manual_steps(settings: Settings) -> None:
    settings = slowed(settings)
    published(settings)
    with processes(settings) as run:
        victims = [run.start("store"), run.start("rank"), held_at(run, 2_000)]
        wait_for("some outcomes", lambda: classified(settings) >= 2_000)
        for victim in victims:
            kill(victim)
        for name in ("store", "rank", "classify"):
            run.start(name)
        exact(settings)


def test_the_record_path_gives_the_same_outcomes_as_the_columns(settings: Settings) -> None:
    scenario = SMALL.model_copy(update={"events": 5_000, "minutes": 10})
    published(settings, scenario)
    end = scenario.events
    found = []
    for fast in (True, False):
        chosen = settings.model_copy(update={"fast_fetch": fast})
        with processes(chosen) as run:
            run.start("classify")
            wait_for("all outcomes", lambda: len(outcomes(settings)) >= end)
        found.append(sorted(outcomes(settings)))
        _forget_plays(settings)
    assert found[0] == found[1]
    assert len(found[0]) == end


def _forget_plays(settings: Settings) -> None:
    topic = topics_of(settings).plays.name
    client = AdminClient({"bootstrap.servers": settings.bootstrap})
    client.delete_topics([topic])[topic].result()
    wait_for("plays gone", lambda: topic not in client.list_topics(timeout=SECONDS).topics)
    ensure_topics(settings)


@pytest.mark.parametrize("name", ["classify", "rank"])
def test_a_worker_under_other_rules_stays_down_and_names_the_difference(settings: Settings, name: str) -> None:
    published(settings, SMALL.model_copy(update={"events": 1_000, "minutes": 10}))
    with processes(settings) as run:
        run.start("rank")
        run.start("classify")
        wait_for("outcomes", lambda: classified(settings) >= 1_000)
    other = settings.model_copy(update={"grace_seconds": 90})
    with processes(other) as run:
        assert run.ended(run.start(name, ready=False)) == Exit.STAY_DOWN
        assert "grace_ms: 60000 in the log, 90000 here" in run.log(name)


@pytest.mark.parametrize("refilled", [False, True])
def test_a_source_topic_that_was_made_anew_is_refused_also_when_it_is_longer(settings: Settings, refilled: bool) -> None:
    published(settings, SMALL.model_copy(update={"events": 1_000, "minutes": 10}))
    with processes(settings) as run:
        run.start("classify")
        wait_for("outcomes", lambda: classified(settings) >= 1_000)
    topic, client = topics_of(settings).events.name, AdminClient({"bootstrap.servers": settings.bootstrap})
    client.delete_topics([topic])[topic].result()
    wait_for("topic gone", lambda: topic not in client.list_topics(timeout=SECONDS).topics)
    ensure_topics(settings)
    if refilled:
        producer = Producer({"bootstrap.servers": settings.bootstrap})
        for number in range(4_000):
            producer.produce(topic, b"other", partition=number % settings.partitions)
        assert producer.flush(SECONDS) == 0
    with processes(settings) as run:
        assert run.ended(run.start("classify", ready=False)) == Exit.STAY_DOWN
        assert "cut or made anew" in run.log("classify")
