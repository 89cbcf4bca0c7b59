"""The drills' oracles on a real run: all hold; then each promise is broken by hand, and the oracle concerned says so."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from deploy.embedded.ports import free_ports
from pipeline.admin import ensure_topics
from pipeline.drills.oracles.conservation import conservation
from pipeline.drills.oracles.equality import equality
from pipeline.drills.oracles.ledger import ledger
from pipeline.drills.oracles.liveness import liveness
from pipeline.drills.oracles.positions import positions
from pipeline.drills.oracles.reading import ends_of
from pipeline.drills.oracles.replay import checksums, compared, replayed
from pipeline.drills.oracles.watch import PositionsWatch
from pipeline.drills.told import Sample, Verdict
from pipeline.settings import Settings, load
from pipeline.store.ask import rows
from pipeline.topics import group_of, topics_of
from pipeline.verify.partitioner import partition_of
from pipeline.verify.verify import verify
from producers.produce import produce
from producers.scenarios.model import Scenario
from tests.conftest import new_run
from tests.end_to_end.processes import SECONDS, Processes, processes, wait_for
from tests.end_to_end.source_logs import now_ms, play, put

EVENTS, RATE = 20_000, 5_000
SCENARIO = Scenario(
    events=EVENTS, minutes=20, artists=300, users=3_000, release={"at": "minute 8"}, seed=11,
    duplicates={"client_double_send": 0.05, "producer_retry": 0.02}, poison={"share": 0.01},
)  # fmt: skip


@dataclass
class Run:
    """A run that was watched from its begin, drained."""

    settings: Settings
    group: Processes
    classify: Any
    watch: PositionsWatch
    samples: list[Sample] = field(default_factory=list)
    resets: list[int] = field(default_factory=list)


@pytest.fixture(scope="module")
def run(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    settings = load(
        run=new_run(),
        kafka_bootstrap=broker,
        data_dir=tmp_path_factory.mktemp("judged"),
        store_port=free_ports(1)[0],
        session_seconds=6,
        window_seconds=600,
    )
    ensure_topics(settings)
    watch = PositionsWatch(settings)
    with processes(settings) as group, pytest.MonkeyPatch.context() as patch:
        # Between a commit by hand and its note the machine may stand still.
        patch.setattr("pipeline.drills.oracles.positions.RESET_MS", int(SECONDS * 1000))
        for name in ("store", "rank"):
            group.start(name)
        found = Run(settings, group, group.start("classify"), watch)
        load_thread = threading.Thread(target=produce, args=(settings, SCENARIO), kwargs={"rate": RATE})
        began = time.monotonic()
        load_thread.start()

        def drained() -> bool:
            is_over = not load_thread.is_alive()  # before the look: it must see the load's last records, too
            watch.look()
            second = time.monotonic() - began
            found.samples.append(Sample(second, watch.produced, watch.applied, watch.stored, {}))
            return is_over and watch.produced is not None and watch.stored == watch.produced >= EVENTS

        wait_for("a drained run", drained)
        yield found
    watch.close()


def judged(live: Verdict) -> bool:
    """Whether the watch has held every commit to what is stored. A busy store may answer once for all of them, and is not
    asked again when no commits follow."""
    return live.figures["unjudged"] == 0 and int(live.figures["store_answers"]) > 0


def looked(run: Run) -> bool:
    """Whether the watch has just seen how it stands: a busy broker may take too long for a look."""
    run.watch.look()
    return None not in (run.watch.produced, run.watch.applied, run.watch.stored)


def commits_of_classify(settings: Settings) -> list[int]:
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": group_of(settings, "classify")})
    try:
        places = [TopicPartition(topics_of(settings).events.name, partition) for partition in range(settings.partitions)]
        return [place.offset for place in consumer.committed(places, timeout=SECONDS)]
    finally:
        consumer.close()


def says_no(verdict: Verdict, reason: str) -> None:
    assert verdict.holds is False, verdict
    assert reason in verdict.sentence


def test_every_oracle_holds_for_a_run_in_order_and_a_second_run_of_its_log_is_equal(run: Run, tmp_path: Path) -> None:
    settings = run.settings
    verified = verify(settings, timeout=SECONDS, show_progress=False)
    wait_for("the last commits", lambda: commits_of_classify(settings) == ends_of(settings, topics_of(settings).events.name))
    placed = positions(settings)

    def seen() -> bool:
        live = run.watch.verdict()
        return judged(live) and live.figures["classify_commits"] == placed.figures["classify_commits"]

    wait_for("the watch to have seen and judged all", seen)
    live = run.watch.verdict()
    verdicts = [
        equality(verified),
        ledger(verified, settings.ledger_dir),
        conservation(settings),
        placed,
        live,
        replayed(settings, tmp_path, lambda _line: None, first=checksums(settings)),
        liveness(run.samples, recovered=0, until_zero=SECONDS, silent=SECONDS),
    ]
    for verdict in verdicts:
        print(verdict)
    assert all(verdict.holds for verdict in verdicts), [verdict for verdict in verdicts if not verdict.holds]
    _, of_ledger, conserved, *_ = verdicts
    assert of_ledger.figures["acknowledged"] == EVENTS
    offsets = sum(ends_of(settings, topics_of(settings).events.name))
    assert conserved.figures["offsets"] == offsets == EVENTS + int(conserved.figures["ticks"])
    assert conserved.figures["letters"] == conserved.figures["invalid"] == EVENTS // 100
    assert int(placed.figures["classify_commits"]) >= settings.partitions
    assert int(live.figures["classify_commits"]) == placed.figures["classify_commits"]
    assert judged(live)
    assert run.samples[-1].applied == run.samples[-1].stored == offsets


def test_a_ledger_that_claims_another_place_and_one_whose_copies_count_are_seen(run: Run) -> None:
    [path] = run.settings.ledger_dir.glob("*.parquet")
    before = path.read_bytes()
    held = pl.read_parquet(path)
    try:
        held.with_columns(
            pl.when(pl.int_range(pl.len()) == 17).then(pl.col("offset") + 1).otherwise("offset").alias("offset")
        ).write_parquet(path)
        verified = verify(run.settings, timeout=0, show_progress=False)
        assert equality(verified).holds
        says_no(ledger(verified, run.settings.ledger_dir), "was acknowledged at partition")
    finally:
        path.write_bytes(before)


def test_a_dead_letter_that_is_gone_and_one_too_many_are_seen(run: Run) -> None:
    settings, topic = run.settings, topics_of(run.settings).dlq.name
    (accepted,) = rows(settings, "SELECT source_partition AS p, source_offset AS o FROM plays FINAL LIMIT 1")
    marks = {"topic": topics_of(settings).events.name, "partition": str(accepted["p"]), "offset": str(accepted["o"])}
    headers = [(f"__connect.errors.{name}", text.encode()) for name, text in marks.items()]
    _append(settings, topic, 0, b"", headers)
    says_no(conservation(settings, seconds=0), f"offset {accepted['o']} has a dead letter and is not invalid")
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    for future in admin.delete_records([TopicPartition(topic, 0, ends_of(settings, topic)[0])]).values():
        future.result(SECONDS)
    says_no(conservation(settings, seconds=0), "is invalid and has no dead letter")


def test_commits_that_are_ahead_or_go_back_are_seen_live_and_afterwards_but_not_where_the_drill_reset_them(run: Run) -> None:
    settings, topics = run.settings, topics_of(run.settings)
    run.classify.terminate()
    run.group.ended(run.classify)
    end = ends_of(settings, topics.events.name)[1]
    run.watch.look()
    sink = ends_of(settings, topics.plays.name)[2]
    resets = [
        _commit(settings, "sink", TopicPartition(topics.plays.name, 2, sink, str(10**6))),
        _commit(settings, "classify", TopicPartition(topics.events.name, 1, end + 1_000)),
    ]
    # Either commit may be seen first, and the sink's is judged as soon as the store was asked again.
    for sentence in (
        f"{settings.run}.classify committed {end + 1_000} in partition 1, plays was applied up to {end}",
        "committed source offset 1000000 of partition 2",
    ):
        wait_for("the watch to see it", lambda sentence=sentence: sentence in run.watch.verdict().sentence)  # type: ignore[misc]
        says_no(run.watch.verdict(), sentence)
    says_no(positions(settings), f"which ends at {end}")
    says_no(positions(settings), "the store holds it up to")
    resets.append(_commit(settings, "classify", TopicPartition(topics.events.name, 1, end)))
    says_no(positions(settings), f"classify went back from {end + 1_000} to {end}")
    right = str(ends_of(settings, topics.events.name)[2])
    resets.append(_commit(settings, "sink", TopicPartition(topics.plays.name, 2, sink, right)))
    for excused in (run.watch.verdict(resets=resets), positions(settings, resets=resets)):
        assert excused.holds, excused
    run.resets.extend(resets)


def test_events_that_nobody_stored_are_seen_by_equality_liveness_and_the_second_run(run: Run) -> None:
    settings, first = run.settings, checksums(run.settings)
    plays = [play(user, now_ms()) for user in range(1, 80)]  # partition 3 is left alone, for the next test
    put(settings, *((None, key, value, []) for key, value in plays if partition_of(key, settings.partitions) != 3))
    says_no(equality(verify(settings, timeout=0, show_progress=False)), "batches: partition")
    wait_for(
        "the watch to see them",
        lambda: looked(run) and run.watch.produced != run.watch.applied,
    )
    late = [Sample(second, run.watch.produced, run.watch.applied, run.watch.stored, {}) for second in range(30)]
    verdict = liveness(late, recovered=0, until_zero=10, silent=10, restarts=["classify"])
    says_no(verdict, "restarted by hand: classify")
    assert "were not stored at the end; nothing was applied for 29 s" in verdict.sentence
    assert checksums(settings) == first
    classify = run.group.start("classify")
    wait_for(
        "the store to have them",
        lambda: looked(run) and run.watch.produced == run.watch.stored,
    )
    classify.terminate()
    run.group.ended(classify)
    says_no(compared(first, checksums(settings), {}), f"plays: {first['plays']}, the second run")


def test_a_gap_between_valid_records_and_a_foreign_plays_record_are_told_apart(run: Run) -> None:
    settings, topic = run.settings, topics_of(run.settings).plays.name
    _append(settings, topic, 3, b"", _headers(at=0, first=0, last=9))
    held = positions(settings, resets=run.resets)
    assert held.holds, held
    assert held.figures["plays_ignored"] == 1
    end = ends_of(settings, topics_of(settings).events.name)[3]
    _append(settings, topic, 3, b"", _headers(at=ends_of(settings, topic)[3], first=end + 5, last=end + 14))
    says_no(
        positions(settings, resets=run.resets), f"begins at source offset {end + 5}, the one before it ended at {end - 1}"
    )
    says_no(conservation(settings, seconds=0), f"partition 3: plays accounts for {end + 10:,} of {end:,} source offsets")


def _append(settings: Settings, topic: str, partition: int, value: bytes, headers: list[tuple[str, bytes]]) -> None:
    failures: list[Any] = []
    producer = Producer({"bootstrap.servers": settings.bootstrap})
    producer.produce(
        topic,
        value=value,
        partition=partition,
        headers=headers,
        on_delivery=lambda error, _: failures.append(error) if error else None,
    )
    assert producer.flush(SECONDS) == 0
    assert not failures


def _headers(**numbers: int) -> list[tuple[str, bytes]]:
    rest = dict.fromkeys(("accepted", "duplicate", "late", "skipped", "suspect", "invalid", "absent", "watermark"), 0)
    rest["ticks"] = numbers["last"] - numbers["first"] + 1
    return [(name, b"%d" % number) for name, number in (numbers | rest).items()]


def _commit(settings: Settings, stage: str, place: TopicPartition) -> int:
    """Commit from outside, as soon as the group takes it; when it was done, epoch ms."""
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": group_of(settings, stage)})

    def done() -> bool:
        try:
            consumer.commit(offsets=[place], asynchronous=False)
        except KafkaException:  # a member that ended without a word is one until its session is over
            return False
        return True

    wait_for("committed", done)
    consumer.close()
    return now_ms()
