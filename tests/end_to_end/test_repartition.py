"""A run taken to another number of partitions on a real broker: nothing lost, nothing doubled, and exact again."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from deploy.embedded.ports import free_ports
from pipeline import admin
from pipeline.admin import ensure_topics
from pipeline.errors import Exit, ListeningError, RefusedError
from pipeline.settings import Settings, load
from pipeline.topics import topics_of
from pipeline.verify import readlog
from pipeline.verify.decode import Decoder, InvalidEventError
from pipeline.verify.partitioner import partition_of
from pipeline.verify.verdict import Verdict
from pipeline.verify.verify import verify
from producers.ledger import read_ledger
from producers.produce import produce
from producers.replay import read
from producers.replay.read import Reader
from producers.replay.repartition import repartition, repartitioned
from producers.replay.target import Target
from producers.scenarios.model import Scenario
from tests.conftest import new_run, settings_env
from tests.end_to_end.processes import processes, wait_for
from tests.end_to_end.source_logs import Content, log_of, now_ms, odd_records, play, put, ticks
from tests.unit.batches import batch_bytes, resealed

ROOT = Path(__file__).parents[2]
SECONDS = 120
SCENARIO = Scenario(
    events=12_000, minutes=20, artists=300, users=3_000, release={"at": "minute 8"}, seed=7,
    duplicates={"client_double_send": 0.05},
)  # fmt: skip
_names = count(1)


def tick_of(content: Content) -> int | None:
    """The clock of a tick as it is meant, capped by its broker time; None for any other record."""
    appended_at, _key, value, headers = content
    text = dict(headers).get("listening-tick")
    return min(int(text), appended_at) if value is None and text is not None and text.isdigit() else None


def events_of(part: list[Content]) -> list[Content]:
    return [content for content in part if tick_of(content) is None]


def replayed(old: list[list[Content]]) -> list[tuple[int, Content]]:
    """(old partition, record) of the whole log in the order of broker time, partition, offset: by sorting it."""
    places = [(part[offset][0], partition, offset) for partition, part in enumerate(old) for offset in range(len(part))]
    return [(partition, old[partition][offset]) for _at, partition, offset in sorted(places)]


def home(partition: int, content: Content, partitions: int) -> int:
    key = content[1]
    return partition_of(key, partitions) if key is not None and len(key) == 8 else partition % partitions


def assert_is_the_replay(old: list[list[Content]], new: list[list[Content]]) -> None:
    """Every record once, in its partition, in order, dated as before; and before each the tick that all had shown."""
    expected: list[list[Content]] = [[] for _ in new]
    heard: list[list[int]] = [[] for _ in new]
    shown = [0] * len(old)
    for partition, content in replayed(old):
        if (clock := tick_of(content)) is not None:
            shown[partition] = max(shown[partition], clock)
        else:
            expected[home(partition, content, len(new))].append(content)
            heard[home(partition, content, len(new))].append(min(shown))
    assert [events_of(part) for part in new] == expected
    for part, wanted in zip(new, heard, strict=True):
        clock, found = 0, []
        for content in part:
            tick = tick_of(content)
            if tick is None:
                found.append(clock)
            else:
                assert clock < tick == int(dict(content[3])["listening-tick"])  # never capped again
                clock = tick
        assert found == wanted
        assert clock == min(shown)


@pytest.fixture(scope="module")
def old(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A finished run of four partitions, of which tests only read what is in it: a scenario between odd records."""
    settings = load(
        run=new_run(),
        kafka_bootstrap=broker,
        data_dir=tmp_path_factory.mktemp("repartition"),
        store_port=free_ports(1)[0],
        session_seconds=6,
    )
    ensure_topics(settings)
    produce(settings, SCENARIO)
    put(settings, *odd_records(settings), *ticks(settings, now_ms() - 500), *odd_records(settings))
    produce(settings, SCENARIO.model_copy(update={"events": 300, "seed": 8}), rate=300, realtime=True, wait=False)
    put(settings, *odd_records(settings), *ticks(settings, now_ms()))
    return settings


@pytest.fixture(scope="module")
def old_log(old: Settings) -> list[list[Content]]:
    return log_of(old)


def fresh(old: Settings, partitions: int) -> Settings:
    """A new run for the old one."""
    return repartitioned(old, f"{old.run}-{partitions}-{next(_names)}", partitions)


def verdict_of(settings: Settings) -> Verdict:
    """Everything worked out by the run's own workers and store, and found exact."""
    with processes(settings) as run:
        for name in ("store", "rank", "classify"):
            run.start(name)
        verdict = verify(settings, timeout=SECONDS, show_progress=False)
    assert verdict.exact, json.dumps(verdict.as_json(), indent=1)[:4000]
    assert verdict.truth is not None
    assert verdict.truth.precision == 1.0
    assert all(kind.recall in (None, 1.0) for kind in verdict.truth.kinds)
    return verdict


def copies_and_firsts(log: list[list[Content]]) -> tuple[int, int]:
    """Valid events that are copies of an earlier one in their partition, and those that are not."""
    decoder, sightings = Decoder(), 0
    ids = set()
    for partition, part in enumerate(log):
        for _at, key, value, _headers in part:
            try:
                decoded = decoder.decode(value or b"")
            except InvalidEventError:
                continue
            if key == decoded["user_id"].to_bytes(8, "big") and partition_of(key, len(log)) == partition:
                sightings += 1
                ids.add(decoded["event_id"])
    return sightings - len(ids), len(ids)


@pytest.fixture(scope="module")
def old_verdict(old: Settings) -> Verdict:
    return verdict_of(old)


@pytest.mark.parametrize("partitions", [8, 3])
def test_a_run_under_another_number_of_partitions_is_the_same_log_and_exact(
    old: Settings, old_log: list[list[Content]], old_verdict: Verdict, partitions: int
) -> None:
    new = fresh(old, partitions)
    done = repartition(old, new)
    log = log_of(new)
    assert_is_the_replay(old_log, log)
    assert Counter(c for part in log for c in events_of(part)) == Counter(c for part in old_log for c in events_of(part))
    misrouted = [
        content
        for partition, part in enumerate(old_log)
        for content in events_of(part)
        if home(partition, content, old.partitions) != partition
    ]
    events = sum(len(events_of(part)) for part in old_log)
    poison = sum(len(c[1] or b"") != 8 for part in old_log for c in events_of(part))
    assert (done.events, done.misrouted, done.poison) == (events, len(misrouted), poison) == (events, 6, 3 * (4 + 4))
    assert (done.without_headers, done.absent, done.compared) == (0, 0, 0)
    assert (done.ticks_read, done.ticks) == (sum(map(len, old_log)) - events, len(log[0]) - len(events_of(log[0])))

    verdict = verdict_of(new)
    for found, its_log in ((old_verdict, old_log), (verdict, log)):
        copies, firsts = copies_and_firsts(its_log)
        assert found.outcomes["duplicate"] == copies
        assert found.outcomes["accepted"] + found.outcomes["late"] + found.outcomes["skipped"] == firsts
    # What lay astray is valid now, three times a copy and three times a first sighting; nothing else became another thing.
    before, after = old_verdict.outcomes, verdict.outcomes
    assert after["invalid"] == before["invalid"] - 6
    assert after["duplicate"] == before["duplicate"] + 3
    assert old_verdict.truth is not None
    assert verdict.truth is not None
    for was, became in zip(old_verdict.truth.kinds, verdict.truth.kinds, strict=True):
        assert (was.kind, was.in_log, was.caught, was.missed) == (became.kind, became.in_log, became.caught, became.missed)
    assert verdict.truth.unknown == old_verdict.truth.unknown


def test_the_ledger_names_the_places_in_the_new_log(old: Settings, old_log: list[list[Content]]) -> None:
    new = fresh(old, 5)
    done = repartition(old, new)
    log, theirs, ours = log_of(new), read_ledger(old).to_pylist(), read_ledger(new).to_pylist()
    assert done.ledger_rows == len(theirs) == len(ours) == 12_300
    for row, mapped in zip(theirs, ours, strict=True):
        was, became = old_log[row["partition"]][row["offset"]], log[mapped["partition"]][mapped["offset"]]
        assert was == became
        assert {**row, "partition": 0, "offset": 0} == {**mapped, "partition": 0, "offset": 0}
    assert len({(row["partition"], row["offset"]) for row in ours}) == len(ours)


def test_the_names_of_the_artists_come_along(old: Settings) -> None:
    new = fresh(old, 1)
    done = repartition(old, new)
    assert done.artists >= SCENARIO.artists
    names = [dict(_names_in(settings)) for settings in (old, new)]
    assert names[0] == names[1]
    assert len(names[0]) == SCENARIO.artists


def _names_in(settings: Settings) -> Iterator[tuple[bytes, bytes]]:
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "tests", "enable.partition.eof": True})
    try:
        consumer.assign([TopicPartition(topics_of(settings).artists.name, 0, 0)])
        while (message := consumer.poll(SECONDS)) is not None and message.error() is None:
            yield message.key(), message.value()
    finally:
        consumer.close()


_DYING = """
import os, signal, sys
from pipeline.settings import load
from producers.replay import copy, target, checkpoint
from producers.replay.repartition import repartition, repartitioned

copy.CHECKPOINT_EVERY, copy.BATCH = 2_500, 500
target._PROPERTIES["linger.ms"] = 5_000  # what isn't flushed is lost when it dies
where, number, blow, old, run, partitions = sys.argv[1:]
owner = checkpoint.Workspace if where in ("save", "saved") else target.Target
name = {"tick": "_produce", "saved": "save", "flushed": "flush"}.get(where, where)
calls, method = 0, getattr(owner, name)

def counted(self, *arguments):
    global calls
    calls += where != "tick" or arguments[2].partition < 0
    if calls == int(number) and where not in ("saved", "flushed"):
        if where == "tick":
            arguments[0].flush()  # some partitions have the tick, and some don't
        os.kill(os.getpid(), getattr(signal, blow))
    answer = method(self, *arguments)
    if calls == int(number) and where in ("saved", "flushed"):
        os.kill(os.getpid(), getattr(signal, blow))
    return answer

setattr(owner, name, counted)
old = load(run=old)
repartition(old, repartitioned(old, run, int(partitions)))
"""


def dying(
    old: Settings, new: Settings, where: str, number: int, blow: str = "SIGKILL"
) -> "subprocess.CompletedProcess[str]":
    """A repartition in a process that ends itself at the n-th call of a step."""
    arguments = [where, str(number), blow, old.run, new.run, str(new.partitions)]
    return subprocess.run(
        [sys.executable, "-c", _DYING, *arguments],
        env=settings_env(old), cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "blows",
    [
        [("put", 1)],
        [("put", 4_321), ("put", 4_321), ("put", 3_000)],
        [("tick", 33), ("tick", 70), ("tick", 200)],
        [("save", 2), ("save", 4), ("saved", 2)],
        [("flushed", 1), ("flushed", 3), ("save", 2)],
    ],
    ids=["at_once", "between_records", "amid_ticks", "between_log_and_checkpoint", "after_flushes"],
)
def test_a_copy_killed_again_and_again_ends_as_the_same_log(
    old: Settings, old_log: list[list[Content]], blows: list[tuple[str, int]]
) -> None:
    new = fresh(old, 8)
    for where, number in blows:
        died = dying(old, new, where, number)
        assert died.returncode == -signal.SIGKILL, died.stderr
    before = sum(map(len, log_of(new)))
    done = repartition(old, new)
    log = log_of(new)
    assert_is_the_replay(old_log, log)
    assert done.compared <= before
    assert done.copied == sum(len(events_of(part)) for part in log)
    for row, mapped in zip(read_ledger(old).to_pylist(), read_ledger(new).to_pylist(), strict=True):
        assert old_log[row["partition"]][row["offset"]] == log[mapped["partition"]][mapped["offset"]]


def test_a_tick_that_is_due_at_a_checkpoint_is_written_after_it(settings: Settings) -> None:
    alone = load(**(settings.model_dump() | {"partitions": 1}))
    ensure_topics(alone)
    put(alone, *ticks(alone, now_ms() - 1), *((None, *play(user, now_ms()), []) for user in range(1, 2_999)))
    # Record 3,000, the last of a batch of 500 after which there are 2,500 places: a checkpoint.
    put(alone, *ticks(alone, now_ms()), *((None, *play(user, now_ms()), []) for user in range(1, 501)))
    new = fresh(alone, 2)
    assert dying(alone, new, "saved", 2).returncode == -signal.SIGKILL
    assert sum(map(len, log_of(new))) == 2_998 + 2
    repartition(alone, new)
    assert_is_the_replay(log_of(alone), log_of(new))


def test_a_killed_copy_is_ended_as_it_was_begun_before_later_records_are_taken_whatever_their_time(
    settings: Settings,
) -> None:
    dated = load(**(settings.model_dump() | {"append_time": False}))
    ensure_topics(dated)
    # Idempotent, or a retry right after the topic was made would change the order.
    producer, began = Producer({"bootstrap.servers": dated.bootstrap, "enable.idempotence": True}), now_ms()

    def put_at(times: range) -> None:
        for number, at in enumerate(times):
            key, value = play(number % 50 + 1, began)
            producer.produce(topics_of(dated).events.name, value, key, number % 4, timestamp=at)
        assert producer.flush(SECONDS) == 0

    put_at(range(began, began + 6_000))
    new = fresh(dated, 8)
    assert dying(dated, new, "put", 4_000).returncode == -signal.SIGKILL
    assert sum(map(len, log_of(new)))
    put_at(range(began - 1_000, began))
    assert repartition(dated, new).copied == 7_000
    expected: list[list[Content]] = [[] for _ in range(8)]
    both = log_of(dated)
    for earlier in (False, True):
        for partition, content in replayed([[c for c in part if (c[0] < began) == earlier] for part in both]):
            expected[home(partition, content, 8)].append(content)
    assert log_of(new) == expected


def test_ctrl_c_is_one_sentence_and_the_same_command_goes_on(old: Settings, old_log: list[list[Content]]) -> None:
    new = fresh(old, 3)
    stopped = dying(old, new, "put", 5_000, "SIGINT")
    assert "ListeningError: Interrupted" in stopped.stderr
    assert sum(map(len, log_of(new))) > 0
    assert repartition(old, new).compared > 0
    assert_is_the_replay(old_log, log_of(new))


@pytest.fixture
def live(settings: Settings) -> Settings:
    """A small run that goes on: two hundred events and their ticks."""
    ensure_topics(settings)
    more(settings, 200)
    return settings


def more(settings: Settings, events: int) -> None:
    """Events as of now, and ticks behind them."""
    at = now_ms()
    put(settings, *((None, *play(user % 50 + 1, at - 10), []) for user in range(events)), *ticks(settings, now_ms() - 1))


def test_a_second_repartition_takes_over_what_came_since_and_a_third_has_nothing_to_do(live: Settings) -> None:
    new = fresh(live, 7)
    first = repartition(live, new)
    begun = log_of(new)
    more(live, 300)
    second, third = repartition(live, new), repartition(live, new)
    assert [(done.events, done.copied, done.compared) for done in (first, second, third)] == [
        (200, 200, 0),
        (300, 500, 0),
        (0, 500, 0),
    ]
    log = log_of(new)
    assert [part[: len(start)] for part, start in zip(log, begun, strict=True)] == begun
    assert_is_the_replay(log_of(live), log)
    assert verify_is_exact_without_a_ledger(new)


def verify_is_exact_without_a_ledger(settings: Settings) -> bool:
    with processes(settings) as run:
        for name in ("store", "rank", "classify"):
            run.start(name)
        return verify(settings, timeout=SECONDS, show_progress=False).exact


def test_a_run_that_is_written_to_meanwhile_is_copied_once_and_whole(live: Settings) -> None:
    new, stop, written = fresh(live, 8), threading.Event(), list[int]()

    def go_on() -> None:
        while not stop.is_set():
            more(live, 100)
            written.append(100)

    producer, rounds = threading.Thread(target=go_on), []
    producer.start()
    try:
        for _ in range(3):
            rounds.append(repartition(live, new))
            before = len(written)
            wait_for("it was written to", lambda before=before: len(written) > before + 1)  # type: ignore[misc]
    finally:
        stop.set()
        producer.join(SECONDS)
    rounds.append(repartition(live, new))
    old_log, log = log_of(live), log_of(new)
    assert sum(done.events for done in rounds) == sum(len(events_of(part)) for part in old_log)
    assert all(done.events for done in rounds)
    assert Counter(c for part in log for c in events_of(part)) == Counter(c for part in old_log for c in events_of(part))
    for key in {content[1] for part in old_log for content in events_of(part)}:
        before = [c for part in old_log for c in events_of(part) if c[1] == key]
        assert [c for c in events_of(log[partition_of(key, 8)]) if c[1] == key] == before
    _ticks_come_behind_what_they_speak_of(old_log, log)


def _ticks_come_behind_what_they_speak_of(old: list[list[Content]], new: list[list[Content]]) -> None:
    """A record that lay before the tick of T in its old partition lies before every tick of T or later in its new one."""
    least: dict[Content, int] = {}
    for part in old:
        clock = 1 << 62
        for content in reversed(part):
            if (tick := tick_of(content)) is not None:
                clock = tick
            else:
                least[content] = clock
    for part in new:
        heard = 0
        for content in part:
            if (tick := tick_of(content)) is not None:
                heard = tick
            else:
                assert heard < least[content]


def test_partitions_that_lie_far_ahead_in_time_wait_and_are_not_all_held_in_memory(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_topics(settings)
    for partition in (2, 0, 3, 1):
        put(settings, *((partition, *play(user, now_ms()), []) for user in range(1, 1_001)))
    put(settings, *ticks(settings, now_ms()))
    monkeypatch.setattr(read, "HELD", 200)
    monkeypatch.setattr(read, "AT_ONCE", 40)
    held: list[int] = []
    original = Reader._pause

    def watched(reader: Reader) -> None:
        original(reader)
        held.append(sum(map(len, reader._held)))

    monkeypatch.setattr(Reader, "_pause", watched)
    new = fresh(settings, 8)
    repartition(settings, new)
    monkeypatch.undo()
    assert_is_the_replay(log_of(settings), log_of(new))
    # Three hold their shares while the fourth is read; what a taking brings on top of a share depends on the broker's pace.
    assert 3 * 50 <= max(held) <= 200 + 4 * 40


async def _put_raw(settings: Settings, partition: int, batch: bytes) -> None:
    """A record batch as it is, by a client that doesn't look into it."""
    client = AIOKafkaClient(bootstrap_servers=settings.bootstrap)
    try:
        await client.bootstrap()
        topics = [(topics_of(settings).events.name, [(partition, batch)])]
        answer = await client.send(client.get_random_node(), ProduceRequest(None, -1, 10_000, topics))
        assert answer.topics[0][1][0][1] == 0, answer  # error code
    finally:
        await client.close()


def test_a_header_name_of_any_bytes_and_a_time_of_zero_are_carried_as_far_as_they_can_be(settings: Settings) -> None:
    dated = load(**(settings.model_dump() | {"append_time": False}))
    ensure_topics(dated)
    wait_for("leaders", lambda: log_of(dated) == [[], [], [], []])
    key, value = play(1, now_ms())
    # Many readable ones before: code that has run a few times calls the client in another way.
    raw = batch_bytes([(key, value, [("a", b"b")])] * 300 + [(key, value, [("näme", b"x")])] * 2, timestamps=[*range(302)])
    asyncio.run(_put_raw(dated, partition_of(key, 4), resealed(raw.replace("näme".encode(), b"n\xff\xfeme"))))
    found = [record.headers for record in readlog.read(dated, readlog.end_offsets(dated))]  # verify passes over them too
    assert found == [[("a", b"b")]] * 300 + [None] * 2
    new = fresh(dated, 8)
    done = repartition(dated, new)
    assert (done.events, done.without_headers) == (302, 2)
    expected = [(max(at, 1), key, value, (("a", b"b"),) if at < 300 else ()) for at in range(302)]
    assert log_of(new)[partition_of(key, 8)] == expected


def test_a_new_run_that_was_cut_over_to_takes_nothing_more(live: Settings) -> None:
    new = fresh(live, 8)
    repartition(live, new)
    put(new, (None, *play(3, now_ms()), []))
    more(live, 100)
    before = log_of(new)
    with pytest.raises(RefusedError, match=f"1 records that aren't copies.*listening delete {new.run} --yes"):
        repartition(live, new)
    assert log_of(new) == before


def test_somebody_else_who_writes_into_the_new_run_meanwhile_is_noticed(
    live: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, original, calls = fresh(live, 2), Target.put, count(1)

    def disturbed(target: Target, partition: int, record: Any) -> int:
        if next(calls) == 100:
            put(new, (0, None, b"a stranger's", []), (1, None, b"a stranger's", []))
        return original(target, partition, record)

    monkeypatch.setattr(Target, "put", disturbed)
    with pytest.raises(RefusedError, match="somebody else writes"):
        repartition(live, new)
    monkeypatch.undo()
    with pytest.raises(RefusedError, match=f"something else at offset.*listening delete {new.run} --yes"):
        repartition(live, new)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"run": "same"}, "--to must name a new run"),
        ({"partitions": 0}, "--partitions must be 1 to 256, it is 0"),
        ({"partitions": 257}, "--partitions must be 1 to 256, it is 257"),
        ({"run": "No Name"}, "LISTENING_RUN='No Name'"),
    ],
)
def test_what_can_be_no_new_run_is_refused(settings: Settings, changes: dict[str, Any], part: str) -> None:
    asked = {"run": "other", "partitions": 8} | changes
    with pytest.raises(ListeningError) as refused:
        repartitioned(settings.model_copy(update={"run": "same"}), **asked)
    assert part in str(refused.value)


def test_a_run_without_a_log_and_one_of_other_partitions_are_refused_and_nothing_is_made(settings: Settings) -> None:
    new = fresh(settings, 8)
    with pytest.raises(RefusedError, match="There is no topic"):
        repartition(settings, new)
    ensure_topics(settings)
    with pytest.raises(RefusedError, match="has 4 partitions and LISTENING_PARTITIONS is 5"):
        repartition(settings.model_copy(update={"partitions": 5}), new)
    client = AdminClient({"bootstrap.servers": settings.bootstrap})
    assert not [name for name in client.list_topics(timeout=SECONDS).topics if name.startswith(new.run)]


def test_a_log_without_its_beginning_is_refused(live: Settings) -> None:
    client = AdminClient({"bootstrap.servers": live.bootstrap})
    for future in client.delete_records([TopicPartition(topics_of(live).events.name, 2, 1)]).values():
        future.result(SECONDS)
    with pytest.raises(RefusedError, match="begins at offset 1 in partition 2"):
        repartition(live, fresh(live, 8))


def test_times_of_another_kind_than_the_settings_say_are_refused(live: Settings) -> None:
    with pytest.raises(RefusedError, match="set LISTENING_APPEND_TIME"):
        repartition(live.model_copy(update={"append_time": False}), fresh(live, 8))


def test_a_new_run_with_records_of_its_own_is_refused_and_left_alone(live: Settings) -> None:
    new = fresh(live, 8)
    ensure_topics(new)
    more(new, 10)
    before = log_of(new)
    with pytest.raises(RefusedError, match="holds records already"):
        repartition(live, new)
    assert log_of(new) == before


def test_going_on_with_another_source_or_number_of_partitions_is_refused(live: Settings) -> None:
    new = fresh(live, 8)
    repartition(live, new)
    with pytest.raises(RefusedError, match=f"--run {live.run} --partitions 8"):
        repartition(live, repartitioned(live, new.run, 9))
    other = live.model_copy(update={"run": live.run + "x"})
    ensure_topics(other)
    with pytest.raises(RefusedError, match=f"begun as a copy of {live.run}"):
        repartition(other, repartitioned(other, new.run, 8))


@pytest.mark.parametrize(("which", "part"), [("old", "not what was copied from"), ("new", "not what was copied to")])
def test_a_topic_that_was_made_anew_is_refused(live: Settings, which: str, part: str) -> None:
    new = fresh(live, 8)
    repartition(live, new)
    chosen = live if which == "old" else new
    admin.delete_topics(chosen)
    ensure_topics(chosen)
    more(chosen, 400)
    with pytest.raises(RefusedError, match=part):
        repartition(live, new)


def test_a_copy_of_a_copy_is_a_copy(live: Settings) -> None:
    wide = fresh(live, 8)
    repartition(live, wide)
    narrow = fresh(wide, 2)
    repartition(wide, narrow)
    assert_is_the_replay(log_of(wide), log_of(narrow))


def test_the_command_says_what_it_did_and_how_to_cut_over(live: Settings) -> None:
    def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "pipeline.cli", "repartition", "--run", live.run, *arguments],
            env=settings_env(live), cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip

    new = fresh(live, 8)
    told = command("--to", new.run, "--partitions", "8", "--json")
    assert told.returncode == Exit.OK, told.stderr
    result = json.loads(told.stdout)
    assert (result["events"], result["ticks"], result["partitions"]) == (200, 1, 8)
    commands = [step["command"] for step in result["cut_over"]]
    assert f"LISTENING_PARTITIONS=8 LISTENING_APPEND_TIME=false listening up --run {new.run}" in commands
    assert any(command and f"repartition --run {live.run} --to {new.run} --partitions 8" in command for command in commands)
    shown = command("--to", new.run, "--partitions", "8")
    assert f"run {new.run}: 0 events of {live.run} copied to 8 partitions" in shown.stdout
    assert "dated by its producers' clocks from now on" in shown.stdout
    assert f"listening verify --run {new.run}" in shown.stdout
    refused = command("--to", live.run, "--partitions", "8")
    assert refused.returncode == Exit.STAY_DOWN
    assert refused.stderr.startswith("error: --to must name a new run")
    assert len(refused.stderr.strip().splitlines()) == 1
