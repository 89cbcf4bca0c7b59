"""`listening doctor` on a real broker: each thing that can be wrong with a run is found, with its remedy, within a bound."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    OffsetSpec,
    ResourceType,
)

from deploy.embedded.data_lock import data_lock
from deploy.embedded.ports import free_ports
from pipeline.admin import ensure_topics, topic_id, wait_for_broker
from pipeline.codec.headers import PlaysHeaders
from pipeline.doctor import bounded
from pipeline.doctor.examine import examine
from pipeline.doctor.findings import Finding
from pipeline.doctor.kafka import Kafka
from pipeline.errors import Exit, UnavailableError
from pipeline.settings import Settings, load
from pipeline.topics import group_of, topics_of
from producers.produce import produce
from producers.scenarios.model import Scenario
from tests.conftest import settings_env
from tests.end_to_end.processes import SECONDS, freeze, kill, processes, wait_for
from tests.end_to_end.test_cli import ROOT, home, listening  # noqa: F401  (home is a fixture)

SMALL = Scenario(events=2_000, minutes=10, artists=100, users=500, release={"at": "minute 4"}, seed=5)
LATE = ("did not tell", "took more than", "no Kafka broker answers", "did not answer within")
"""What the doctor says of a broker or a store that took longer than its bound."""
NOON = 1_700_049_600_000  # 2023-11-15 12:00:00 UTC


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found is meant here, not how soon: a busy broker and store are waited for."""
    monkeypatch.setattr(bounded, "REQUEST_SECONDS", SECONDS)
    monkeypatch.setattr(bounded, "ALL_SECONDS", SECONDS)
    monkeypatch.setattr(bounded, "_PATIENCE_SECONDS", SECONDS)
    monkeypatch.setattr("pipeline.doctor.kafka.REACH_SECONDS", SECONDS)
    monkeypatch.setattr("pipeline.doctor.store.ANSWER_SECONDS", SECONDS)


def answered(settings: Settings, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`listening doctor`, called again where a busy broker or store took longer for an answer than it waits."""
    answers = list["subprocess.CompletedProcess[str]"]()

    def complete() -> bool:
        answers.append(listening(settings_env(settings), "doctor", *arguments))
        said = " ".join(answers[-1].stdout.replace("│", " ").split())
        return not any(part in said for part in LATE)

    wait_for("every check made", complete)
    return answers[-1]


def admin(settings: Settings) -> AdminClient:
    return AdminClient({"bootstrap.servers": settings.bootstrap})


def found(settings: Settings, level: str, subject: str) -> list[Finding]:
    """The run's findings of that level and subject."""
    return [finding for finding in examine(settings) if (finding.level, finding.subject) == (level, subject)]


def the(settings: Settings, level: str, subject: str) -> Finding:
    """The only one of that level and subject."""
    every = examine(settings)
    fitting = [finding for finding in every if (finding.level, finding.subject) == (level, subject)]
    assert len(fitting) == 1, "\n".join(map(str, every))
    return fitting[0]


def changed(settings: Settings, **changes: Any) -> Settings:
    """The same run under other settings, its rules built anew."""
    return load(**settings.model_dump() | changes)


def levels(findings: list[Finding]) -> set[str]:
    return {finding.level for finding in findings}


def write(settings: Settings, topic: str, partition: int, headers: Any = (), value: bytes = b"") -> None:
    producer = Producer({"bootstrap.servers": settings.bootstrap, "acks": "all"})
    producer.produce(topic, value=value, partition=partition, headers=list(headers))
    assert producer.flush(SECONDS) == 0


@contextmanager
def consuming(settings: Settings, group: str) -> Iterator[Consumer]:
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": group, "enable.auto.commit": False})
    try:
        yield consumer
    finally:
        consumer.close()


def commit(settings: Settings, group: str, at: TopicPartition) -> None:
    """Commit an offset, as soon as the broker can take one for this group."""
    with consuming(settings, group) as consumer:

        def done() -> bool:
            try:
                consumer.commit(offsets=[at], asynchronous=False)
            except KafkaException:
                return False
            return True

        wait_for("committed", done)


def outcomes(settings: Settings, partition: int, watermark: int, *, rules: str = "") -> None:
    """A valid first `plays` record of the partition: one tick at source offset 0, which is written too."""
    topics = topics_of(settings)
    write(settings, topics.events.name, partition, [("listening-tick", str(watermark).encode())])
    source = topic_id(settings, topics.events.name)
    headers = PlaysHeaders(0, 0, 0, (0,) * 6, 1, 0, watermark, rules or settings.rules.fingerprint, source)
    write(settings, topics.plays.name, partition, headers.encode())


def alter(
    settings: Settings, topic: str, name: str, value: str, operation: AlterConfigOpType = AlterConfigOpType.SET
) -> None:
    entry = ConfigEntry(name, value, incremental_operation=operation)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    client = admin(settings)  # held until the answer is there
    client.incremental_alter_configs([resource])[resource].result(SECONDS)

    def altered() -> bool:  # the controller has it before the broker
        config = client.describe_configs([resource])[resource].result(SECONDS)
        is_own = config[name].source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        return config[name].value == value if operation == AlterConfigOpType.SET else not is_own

    wait_for(f"{name} altered", altered)


@pytest.mark.usefixtures("patient")
def test_a_fresh_run_that_worked_off_its_events_has_no_problem_and_the_command_says_so(settings: Settings) -> None:
    ensure_topics(settings)
    produce(settings, SMALL, show_progress=False)
    with processes(settings) as run:
        for name in ("store", "rank", "classify"):
            run.start(name)
        wait_for("nothing behind", lambda: levels(examine(settings)) == {"ok"})
        answer = answered(settings, "--json")
        assert answer.returncode == Exit.OK, answer.stdout + answer.stderr
        document = json.loads(answer.stdout)
        assert document["ok"]
        assert {finding["level"] for finding in document["findings"]} == {"ok"}
        said = {finding["subject"]: finding["found"] for finding in document["findings"]}
        assert said["lag"] == "nothing waits for classify, count, rank, sink"
        assert said["watermarks"].startswith(f"{settings.partitions} of {settings.partitions} partitions heard from")
        assert "on ClickHouse" in said["store"]
        table = answered(settings)
        assert table.returncode == Exit.OK
        assert "nothing to do" in table.stdout


@pytest.mark.usefixtures("patient")
def test_looking_changes_nothing_on_the_broker(settings: Settings) -> None:
    ensure_topics(settings)
    outcomes(settings, 0, NOON)

    client, latest, group = admin(settings), OffsetSpec.latest(), group_of(settings, "sink")
    plays = TopicPartition(topics_of(settings).plays.name, 0, 1)
    commit(settings, group, plays)  # also so that the broker has its own offsets topic, which it makes when first needed

    def seen() -> tuple[Any, ...]:
        topics = client.list_topics(timeout=SECONDS).topics
        groups = sorted(group.group_id for group in client.list_consumer_groups().result(SECONDS).valid)
        ends = client.list_offsets({TopicPartition(name, 0): latest for name in topics if settings.run in name})
        with consuming(settings, group) as consumer:
            (at,) = consumer.committed([plays], timeout=SECONDS)
        return (
            sorted(topics),
            groups,
            at.offset,
            sorted((at.topic, future.result(SECONDS).offset) for at, future in ends.items()),
        )

    topics, groups, offset, ends = seen()
    examine(settings)
    topics_now, groups_now, *others = seen()
    assert others == [offset, ends]
    # What earlier tests left may go meanwhile, nothing may come.
    assert set(topics_now) <= set(topics)
    assert set(groups_now) <= set(groups)
    assert [name for name in topics_now if settings.run in name] == [name for name in topics if settings.run in name]
    assert [name for name in groups_now if settings.run in name] == [name for name in groups if settings.run in name]
    assert not settings.run_dir.exists()


@pytest.mark.usefixtures("patient")
def test_a_run_that_was_never_started_is_notes_and_what_waits_while_all_is_down_a_warning(settings: Settings) -> None:
    assert levels(examine(settings)) == {"ok", "note"}
    assert "`listening up" in the(settings, "note", "topics").remedy
    ensure_topics(settings)
    produce(settings, SMALL, show_progress=False)
    findings = examine(settings)
    assert "problem" not in levels(findings)
    waiting = [finding.found for finding in findings if finding.level == "warning" and finding.subject == "lag"]
    assert any("records wait for classify and nobody works on them" in sentence for sentence in waiting)


@pytest.mark.usefixtures("patient")
def test_an_altered_topic_setting_is_a_problem_until_its_remedy_is_done(settings: Settings) -> None:
    ensure_topics(settings)
    topic = topics_of(settings).plays.name
    alter(settings, topic, "retention.ms", "86400000")
    problem = the(settings, "problem", "topics")
    assert problem.found == f"{topic} has retention.ms=86400000, this run needs -1"
    assert f"--entity-name {topic} --add-config retention.ms=-1" in problem.remedy
    answer = answered(settings)
    assert answer.returncode == Exit.CHECK_FAILED
    assert "PROBLEM" in answer.stdout
    assert "doctor: 1 problem" in answer.stdout
    alter(settings, topic, "retention.ms", "-1")
    assert not found(settings, "problem", "topics")
    # The session's broker keeps for ever by default: right today, and not the topic's own.
    alter(settings, topic, "retention.ms", "", AlterConfigOpType.DELETE)
    assert "has its retention.ms from the broker's defaults" in the(settings, "warning", "topics").found


@pytest.mark.usefixtures("patient")
def test_other_rules_name_the_difference_and_its_variable(settings: Settings) -> None:
    ensure_topics(settings)
    outcomes(settings, 1, NOON)
    problem = the(changed(settings, grace_seconds=90), "problem", "rules")
    assert problem.found.startswith("grace_ms: 60000 in the log, 90000 here (partition 1)")
    assert "LISTENING_GRACE_SECONDS" in problem.remedy
    assert not found(settings, "problem", "rules")


@pytest.mark.usefixtures("patient")
def test_a_source_that_was_made_anew_is_found_by_its_id(settings: Settings) -> None:
    ensure_topics(settings)
    outcomes(settings, 0, NOON)
    topic, client = topics_of(settings).events.name, admin(settings)
    old = topic_id(settings, topic)
    client.delete_topics([topic])[topic].result(SECONDS)
    wait_for("topic gone", lambda: topic not in client.list_topics(timeout=SECONDS).topics)
    assert "is gone" in the(settings, "problem", "rules").found
    ensure_topics(settings)
    problem = the(settings, "problem", "rules")
    assert f"made anew: its id is {topic_id(settings, topic)}, outcomes are of {old} (partition 0)" in problem.found
    assert "LISTENING_RUN" in problem.remedy


@pytest.mark.usefixtures("patient")
def test_records_of_others_hide_the_newest_outcome_from_nobody(settings: Settings) -> None:
    ensure_topics(settings)
    outcomes(settings, 0, NOON)
    producer = Producer({"bootstrap.servers": settings.bootstrap})
    for _ in range(40):
        producer.produce(topics_of(settings).plays.name, value=b"rogue", partition=0)
        producer.produce(topics_of(settings).plays.name, value=b"rogue", partition=1)
    assert producer.flush(SECONDS) == 0
    warning = the(settings, "warning", "rules")
    assert "partition 1: none of the last 256" in warning.found
    assert found(changed(settings, grace_seconds=90), "problem", "rules")


@pytest.mark.usefixtures("patient")
def test_deleted_records_below_which_the_sink_had_not_come_are_named(settings: Settings) -> None:
    ensure_topics(settings)
    topic, client, group = topics_of(settings).plays.name, admin(settings), group_of(settings, "sink")
    for _ in range(10):
        write(settings, topic, 2, value=b"x")
    commit(settings, group, TopicPartition(topic, 2, 3))
    assert not [finding for finding in found(settings, "problem", "lag") if "lost" in finding.found]
    for future in client.delete_records([TopicPartition(topic, 2, 7)]).values():
        future.result(SECONDS)
    lost = [finding for finding in found(settings, "problem", "lag") if f"(group {group})" in finding.found]
    assert [finding.found for finding in lost] == [
        f"{topic} partition 2 begins at 7, sink (group {group}) goes on at 3: offsets 3 to 6 are lost"
    ]
    assert "LISTENING_RUN" in lost[0].remedy


@pytest.mark.usefixtures("patient")
def test_a_silent_partition_and_one_never_heard_from_are_named_with_ticks_as_remedy(settings: Settings) -> None:
    ensure_topics(settings)
    for partition, watermark in ((0, NOON), (1, NOON - 5_000), (2, NOON - 600_000)):
        outcomes(settings, partition, watermark)
    never, silent = found(settings, "warning", "watermarks")
    assert never.found.startswith("partition 3 not heard from, ever")
    assert silent.found.startswith("partition 2 behind the others, by up to 10 min")
    assert all("listening tick" in finding.remedy for finding in (never, silent))


@pytest.mark.usefixtures("patient")
def test_dead_letters_are_counted_over_all_partitions_with_their_reasons(settings: Settings) -> None:
    ensure_topics(settings)
    topic = topics_of(settings).dlq.name
    for partition, reason in ((0, "misrouted"), (1, "misrouted"), (3, "wrong_key")):
        write(settings, topic, partition, [("__connect.errors.exception.class.name", reason.encode())])
    write(settings, topic, 3)
    warning = the(settings, "warning", "dead letters")
    assert warning.found == "4 records were refused; of the newest 4: misrouted 2, wrong_key 1, no reason given 1"
    assert "listening dlq list" in warning.remedy


@pytest.mark.usefixtures("patient")
def test_a_worker_that_is_down_while_others_work_is_a_problem_with_its_log(settings: Settings) -> None:
    ensure_topics(settings)
    with processes(settings) as run:
        run.start("rank")
        classify = run.start("classify")
        kill(classify)
        produced = produce(settings, SMALL, show_progress=False)

        def down() -> list[Finding]:
            return [finding for finding in found(settings, "problem", "lag") if "wait for classify" in finding.found]

        wait_for("its session is over", lambda: bool(down()))
        (problem,) = down()
        count = int(problem.found.partition(" ")[0].replace(",", ""))
        assert count > produced.published, "events and ticks"
        assert f"{settings.run_dir / 'logs' / 'classify.log'}" in problem.remedy
        assert f"process {classify.pid}, which is gone" in the(settings, "note", "processes").found


@contextmanager
def deaf(port: int) -> Iterator[None]:
    """Accepts connections and never says anything."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        yield


def test_with_nothing_there_every_finding_is_a_sentence(home: dict[str, str]) -> None:  # noqa: F811
    answer = listening(home, "doctor", "--run", "nobody", "--json")
    assert answer.returncode == Exit.OK
    assert answer.stderr == ""
    findings = json.loads(answer.stdout)["findings"]
    assert {finding["level"] for finding in findings} == {"ok", "note"}
    unchecked = {finding["subject"] for finding in findings if finding["found"].startswith("not checked: ")}
    assert unchecked == {"topics", "replication", "rules", "lag", "watermarks", "dead letters", "store"}
    assert not Path(home["LISTENING_DATA_DIR"]).exists()


def test_a_broker_and_a_store_that_never_answer_are_bounded_and_a_problem(tmp_path: Path) -> None:
    kafka, store = free_ports(2)
    settings = load(run="t", data_dir=tmp_path, kafka_bootstrap=f"127.0.0.1:{kafka}", store_port=store)
    with deaf(kafka), deaf(store):
        findings = examine(settings)  # though nothing ever ends the waiting but its own bound
    problems = {finding.subject: finding for finding in findings if finding.level == "problem"}
    assert set(problems) == {"broker", "ports"}
    assert "LISTENING_KAFKA_BOOTSTRAP" in problems["broker"].remedy
    assert f"taken by process {os.getpid()}" in problems["ports"].found


def test_a_broker_that_falls_silent_half_way_is_waited_for_no_longer_than_the_bound(tmp_path: Path) -> None:
    port, controller = free_ports(2)
    settings = load(run="t", data_dir=tmp_path, kafka_port=port, kafka_controller_port=controller)
    broker = subprocess.Popen(
        [sys.executable, "-m", "deploy.embedded.broker"], env=settings_env(settings), cwd=ROOT, start_new_session=True
    )
    try:
        wait_for_broker(settings, SECONDS)
        ensure_topics(settings)
        kafka = Kafka(settings)
        freeze(broker)
        questions = [lambda: kafka.cluster, lambda: kafka.topics, lambda: kafka.groups, lambda: kafka.bounds]
        for ask in questions:
            with pytest.raises(UnavailableError, match=str(port)):
                ask()  # the bound is one for all questions: tests/unit/doctor/test_bounded.py
    finally:
        os.kill(broker.pid, signal.SIGKILL)
        broker.wait(SECONDS)


def test_rubbish_in_the_runs_folders_is_no_traceback(home: dict[str, str]) -> None:  # noqa: F811
    data = Path(home["LISTENING_DATA_DIR"])
    ready, broker = data / "runs" / "t" / "ready", data / "broker"
    for folder in (ready, broker, data / "runs" / "t" / "store.lock"):
        folder.mkdir(parents=True)
    (ready / "classify").write_bytes(b"\xff\xfe")
    (ready / "rank").mkdir()
    (ready / "store").write_text("-1")
    (data / "up.pid").write_text("rubbish\n")
    (broker / "cluster.id").write_bytes(b"\xff")
    answer = listening(home, "doctor", "--run", "t", "--json")
    assert answer.returncode == Exit.OK, answer.stdout
    assert answer.stderr == ""
    findings = json.loads(answer.stdout)["findings"]
    said = [finding["found"] for finding in findings if finding["subject"] == "processes"]
    assert said == [f"{name}'s ready file holds something that is no pid: it was killed, and nobody restarts it"
                    for name in ("classify", "rank", "store")]  # fmt: skip
    assert not [finding for finding in findings if "failed" in finding["found"]]


def test_a_broker_that_should_be_up_and_is_not_is_a_problem(tmp_path: Path) -> None:
    settings = load(run="t", data_dir=tmp_path, kafka_port=free_ports(1)[0])
    assert not [finding for finding in examine(settings) if finding.level == "problem" and finding.subject == "broker"]
    with data_lock(settings):
        assert "though `listening up` runs" in the(settings, "problem", "broker").found


@pytest.mark.parametrize("kind", ["file", "missing"])
def test_a_data_folder_that_cannot_be_one_is_a_problem(tmp_path: Path, kind: str) -> None:
    (tmp_path / "taken").write_text("a file")
    folder = tmp_path / "taken" if kind == "file" else tmp_path / "taken" / "below"
    problem = the(load(run="t", data_dir=folder, kafka_port=free_ports(1)[0]), "problem", "data folder")
    assert f"{tmp_path / 'taken'} is no folder" in problem.found
    assert "LISTENING_DATA_DIR" in problem.remedy
