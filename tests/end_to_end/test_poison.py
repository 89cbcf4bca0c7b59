"""Poison of every kind on a real broker: in the dead-letter queue once, by its place, and no neighbour feels it."""

import json
import struct
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

import schemas
from pipeline.admin import ensure_topics
from pipeline.codec.murmur import partition_of_key
from pipeline.dlq.letters import read_letters
from pipeline.errors import Exit
from pipeline.log.read import log_reader
from pipeline.settings import Settings, load
from pipeline.topics import group_of, topics_of
from pipeline.verify.partitioner import partition_of
from tests.end_to_end.processes import SECONDS, kill, listening, processes, wait_for
from tests.end_to_end.test_pipeline import classified, outcomes, verdict_of
from tests.unit.batches import body_of, event, framed

USER = 1
KEY = struct.pack(">q", USER)


class Sent(NamedTuple):
    """A record to be sent: `reason` is what it must be refused for, empty for a good event."""

    reason: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def home(settings: Settings) -> int:
    """USER's partition, by verify's own partitioner."""
    return partition_of(KEY, settings.partitions)


def out_of_limits() -> list[tuple[str, dict[str, Any]]]:
    """One event for each side of each plausibility limit that its type can leave."""
    found: list[tuple[str, dict[str, Any]]] = []
    for name, limit in schemas.limits().integers.items():
        if name in ("user_id", "played_at"):
            continue  # the key goes with the one; the other has rules of its own
        most = 2**31 - 1 if name in ("ms_played", "track_ms", "sequence") else 2**63 - 1
        found += [(name, {name: value}) for value in (limit.min - 1, limit.max + 1) if value <= most]
    found += [("played_at", {"played_at": 946_684_799_999})]
    for name, limit in schemas.limits().strings.items():
        found += [(name, {name: "x" * (limit.min - 1)}), (name, {name: "x" * (limit.max + 1)})]
    return found


def poison(settings: Settings) -> list[Sent]:
    """Every kind that a record can be refused for."""
    here, now = home(settings), now_ms()
    good = event(USER, event_id=uuid.uuid4().bytes, played_at=now - 5_000, sent_at=now)
    body = body_of(good)
    imitation = b"\0" * 3 + struct.pack(">q", 2) + framed(body_of(event(2, played_at=now)))
    limits = [Sent("implausible", here, KEY, framed(body_of(good | changes)), []) for _, changes in out_of_limits()]
    return [
        Sent("wrong_magic", here, KEY, framed(body, magic=7), []),
        Sent("wrong_magic", here, KEY, b"", []),
        Sent("unknown_schema", here, KEY, framed(body, schema_id=4711), [("mine", b"kept")]),
        Sent("unknown_schema", here, KEY, framed(body, schema_id=2), []),
        Sent("undecodable", here, KEY, framed(body)[:-4], []),
        Sent("trailing_bytes", here, KEY, framed(body) + b"\0", []),
        Sent("trailing_bytes", here, KEY, framed(body) + imitation, []),
        Sent("too_large", here, KEY, framed(body) + b"\0" * 5_000, []),
        Sent("too_large", here, KEY, framed(body) + b"\0" * 900_000, []),
        Sent("null_value", here, KEY, None, []),
        Sent("malformed_tick", here, None, None, [("listening-tick", b"noon")]),
        Sent("malformed_tick", here, None, None, [("listening-tick", b"1")]),
        Sent("wrong_key", here, struct.pack(">q", USER + 1), framed(body), []),
        Sent("wrong_key", here, b"1", framed(body), []),
        Sent("wrong_key", here, None, framed(body), []),
        Sent("misrouted", (here + 1) % settings.partitions, KEY, framed(body), []),
        Sent("ahead", here, KEY, framed(body_of(good | {"played_at": now + 3_600_000})), []),
        Sent("implausible", here, KEY, framed(body_of(good).replace(b"\x04SE\0\0", b"\x04SE\0\x7e")), []),  # no such reason
        *limits,
    ]


def neighbours(settings: Settings, count: int) -> list[Sent]:
    """Good events, some of them twice, some too short: of one user, so that all lie in the same partition."""
    now, made = now_ms(), []
    for number in range(count):
        fields = event(
            USER,
            event_id=(number - number % 4 // 3).to_bytes(16, "big"),  # every fourth repeats the one before
            played_at=now - 9_000 + number - number % 4 // 3,
            artist_id=1 + number % 3,
            ms_played=10_000 if number % 7 == 6 else 60_000,
        )
        made.append(Sent("", home(settings), KEY, framed(body_of(fields)), []))
    return made


def publish(settings: Settings, records: Sequence[Sent]) -> None:
    client, failed = Producer({"bootstrap.servers": settings.bootstrap, "enable.idempotence": True}), []
    for record in records:
        client.produce(
            topics_of(settings).events.name,
            key=record.key,
            value=record.value,
            headers=record.headers,
            partition=record.partition,
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )
    assert client.flush(SECONDS) == 0
    assert failed == []


def interleaved(good: list[Sent], bad: list[Sent]) -> list[Sent]:
    mixed: list[Sent] = []
    for number, record in enumerate(good):
        mixed.append(record)  # a good one first: the batch looks like events, until it is read
        mixed += bad[number : number + 1]
    assert len(good) > len(bad)
    return mixed


def beside(settings: Settings, tmp: str) -> Settings:
    """Another run of the same settings."""
    return load(**(settings.model_dump() | {"run": f"{settings.run}-{tmp}"}))


def outcomes_of_good(settings: Settings, records: list[Sent]) -> list[str]:
    """What became of the good ones, in their order."""
    offsets: Counter[int] = Counter()
    places = []
    for record in records:
        places.append((record.partition, offsets[record.partition]))
        offsets[record.partition] += 1
    found = {(partition, offset): outcome for partition, offset, outcome in outcomes(settings)}
    return [found[place] for place, record in zip(places, records, strict=True) if not record.reason]


@pytest.mark.parametrize("fast", [True, False])
def test_every_kind_of_poison_is_a_dead_letter_once_and_its_neighbours_fare_as_without_it(
    settings: Settings, fast: bool
) -> None:
    settings = load(**(settings.model_dump() | {"fast_fetch": fast}))
    alone, bad = beside(settings, "alone"), poison(settings)
    good = neighbours(settings, len(bad) + 20)
    mixed = interleaved(good, bad)
    for run, records in ((alone, good), (settings, mixed)):
        ensure_topics(run)
        publish(run, records)
        with processes(run) as running:
            classify = running.start("classify")
            if run is settings:
                # Dead letters are written before outcomes: a crash between repeats them, and their place tells.
                wait_for("some dead letters", lambda: letters_in(settings) > 0 or classified(settings) == len(mixed))
                kill(classify)
                running.start("classify")
            wait_for("all outcomes", lambda run=run, records=records: classified(run) == len(records))  # type: ignore[misc]
    assert outcomes_of_good(settings, mixed) == outcomes_of_good(alone, good)
    assert Counter(outcomes_of_good(alone, good)).keys() == {"accepted", "duplicate", "skipped"}
    assert Counter(outcome for _, _, outcome in outcomes(settings))["invalid"] == len(bad)
    with log_reader(settings.bootstrap) as reader:
        letters = read_letters(reader, settings)
    refused = [(letter.reason, letter.key, letter.value, tuple(letter.headers)) for letter in letters]
    expected = [(record.reason, record.key, record.value, tuple(record.headers)) for record in bad]
    assert sorted(refused, key=str) == sorted(expected, key=str)
    assert len({(letter.partition, letter.offset) for letter in letters}) == len(bad)


def letters_in(settings: Settings) -> int:
    """Records of the dead-letter topic, repeats included, by a plain consumer."""
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "t"})
    try:
        return sum(
            consumer.get_watermark_offsets(TopicPartition(topics_of(settings).dlq.name, partition), timeout=SECONDS)[1]
            for partition in range(settings.partitions)
        )
    finally:
        consumer.close()


def test_refused_records_can_be_shown_and_sent_again_under_their_right_key_and_verify_is_exact(settings: Settings) -> None:
    ensure_topics(settings)
    here, now = home(settings), now_ms()

    def made(**changes: Any) -> bytes:
        return framed(body_of(event(USER, event_id=uuid.uuid4().bytes, played_at=now - 1_000) | changes))

    counted = made()
    bad = [
        Sent("wrong_key", here, struct.pack(">q", 77), made(), [("trace", b"1")]),
        Sent("misrouted", (here + 1) % settings.partitions, KEY, made(), []),
        Sent("wrong_key", here, b"", counted, []),
        Sent("wrong_key", here, b"", made(ms_played=5), []),
        Sent("wrong_key", here, b"", made(played_at=now - 300_000), []),
        Sent("trailing_bytes", here, KEY, made() + b"!", []),
    ]
    publish(settings, [Sent("", here, KEY, counted, []), Sent("", here, KEY, made(played_at=now), []), *bad])
    with processes(settings) as running:
        for name in ("store", "rank", "classify"):
            running.start(name)
        wait_for("refusals", lambda: classified(settings) == 8)
        shown = listening(settings, "dlq", "show", str(here), "2")
        assert shown.returncode == Exit.OK, shown.stderr
        assert "refused as wrong_key" in shown.stdout
        assert "it would end as accepted" in shown.stdout
        nothing = listening(settings, "dlq", "show", str(here), "999")
        assert nothing.returncode == Exit.CHECK_FAILED
        assert "holds nothing of" in nothing.stderr
        said = json.loads(listening(settings, "dlq", "replay", "--json").stdout)
        predicted = Counter(fate["outcome"] for fate in said["fates"])
        assert predicted == {"accepted": 2, "duplicate": 1, "skipped": 1, "late": 1, "stays": 1}
        assert said["sent"] == 0
        before = Counter(outcome for _, _, outcome in outcomes(settings))
        done = json.loads(listening(settings, "dlq", "replay", "--yes", "--json").stdout)
        assert done["sent"] == 4
        wait_for("the replayed", lambda: classified(settings) == 12)
        gained = Counter(outcome for _, _, outcome in outcomes(settings)) - before
        assert gained == {"accepted": 2, "skipped": 1, "late": 1}, "what was said is what happened"
        assert partition_of_key(KEY, settings.partitions) == here
        verdict = verdict_of(settings)
        assert verdict.exact, json.dumps(verdict.as_json(), indent=1)[:3000]


def committed(settings: Settings) -> dict[int, int]:
    """Partition → classify's committed offset. By a consumer: the admin client's call can crash (librdkafka issue 5040)."""
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": group_of(settings, "classify")})
    try:
        places = [TopicPartition(topics_of(settings).events.name, partition) for partition in range(settings.partitions)]
        return {entry.partition: entry.offset for entry in consumer.committed(places, timeout=SECONDS)}
    finally:
        consumer.close()


@pytest.mark.parametrize(
    ("changes", "setting", "fixed"),
    [
        ({"dlq_ceiling_consecutive": 50}, "LISTENING_DLQ_CEILING_CONSECUTIVE=50", {"dlq_ceiling_consecutive": 10_000}),
        (
            {"dlq_ceiling_events": 200, "dlq_ceiling_consecutive": 10_000},
            "LISTENING_DLQ_CEILING_RATIO=0.5",
            {"dlq_ceiling_ratio": 1.0},
        ),
    ],
)
def test_past_the_ceiling_classify_stays_down_commits_nothing_more_says_the_fix_and_goes_on_after_it(
    settings: Settings, changes: dict[str, Any], setting: str, fixed: dict[str, Any]
) -> None:
    settings = load(**(settings.model_dump() | changes))
    ensure_topics(settings)
    here = home(settings)
    publish(settings, neighbours(settings, 20))
    with processes(settings) as running:
        classify = running.start("classify")
        wait_for("the good ones", lambda: classified(settings) == 20)
        wait_for("their commit", lambda: committed(settings).get(here) == 20)
        publish(settings, [Sent("wrong_magic", here, KEY, b"nonsense", [])] * 600)
        assert running.ended(classify) == Exit.STAY_DOWN
        said = running.log("classify")
        assert setting in said
        assert "wrong_magic" in said
        assert "listening dlq" in said
        assert "Traceback" not in said
        durable = classified(settings)
        assert committed(settings)[here] <= durable < 620, "nothing may be committed past what is durable"
        assert letters_in(settings) == durable - 20, "nor may the queue be filled past it"
        assert running.ended(running.start("classify", ready=False)) == Exit.STAY_DOWN, "again, until somebody acts"
    mended = load(**(settings.model_dump() | fixed))
    with processes(mended) as running:
        running.start("classify")
        wait_for("all outcomes", lambda: classified(settings) == 620)
    assert Counter(outcome for _, _, outcome in outcomes(settings))["invalid"] == 600
