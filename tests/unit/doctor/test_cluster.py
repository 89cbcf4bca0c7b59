"""What the doctor says of a cluster, from facts: replicated ones can't be run here."""

from dataclasses import replace

import pytest

from pipeline.doctor import broker, replication, topics
from pipeline.doctor.broker import BrokerFacts
from pipeline.doctor.facts import Broker, Cluster, Partition, TopicState
from pipeline.doctor.findings import Finding, Level
from pipeline.doctor.replication import ReplicationFacts
from pipeline.doctor.topics import TopicsFacts
from pipeline.settings import Settings, load
from pipeline.topics import topics_of

SAFE = {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}
CONFIG = {"auto.create.topics.enable": "false", "offsets.retention.minutes": str(2**31 - 1)}
HOUR = 3_600_000


def at(findings: list[Finding], level: Level) -> list[str]:
    return [finding.found for finding in findings if finding.level == level]


def state(name: str = "t.plays", *, leader: int = 1, replicas: int = 3, in_sync: int = 3, **config: str) -> TopicState:
    settings = SAFE | {key.replace("_", "."): value for key, value in config.items()}
    return TopicState(name, "an-id", (Partition(leader, replicas, in_sync),) * 2, settings)


def replicated(*states: TopicState, brokers: int = 3) -> list[Finding]:
    return replication.judge(ReplicationFacts("here:9092", brokers, states))


def test_three_replicas_two_in_sync_and_no_unclean_leader_are_as_they_must_be() -> None:
    findings = replicated(state(), state("t.dlq", replicas=5, in_sync=5, min_insync_replicas="3"))
    assert [finding.level for finding in findings] == ["ok"]


@pytest.mark.parametrize(
    ("wrong", "found", "remedy"),
    [
        (state(replicas=2, in_sync=2), "fewer than 3 replicas: t.plays (2)", "kafka-reassign-partitions.sh"),
        (state(min_insync_replicas="1"), "min.insync.replicas below 2: t.plays", "--add-config min.insync.replicas=2"),
        (
            state(unclean_leader_election_enable="true"),
            "unclean.leader.election.enable is not false: t.plays",
            "--add-config unclean.leader.election.enable=false",
        ),
    ],
)
def test_each_setting_without_which_acks_all_means_little_is_a_problem_of_its_own(
    wrong: TopicState, found: str, remedy: str
) -> None:
    findings = replicated(state("t.good"), wrong)
    (problem,) = (finding for finding in findings if finding.level == "problem")
    assert found in problem.found
    assert remedy in problem.remedy
    assert "t.good" not in problem.found


def test_on_two_brokers_three_replicas_are_a_problem_whose_remedy_is_a_third_broker() -> None:
    (problem,) = replicated(state(replicas=2, in_sync=2), brokers=2)
    assert "needs 3 brokers, the cluster has 2" in problem.remedy


def test_one_broker_is_told_what_it_is_and_no_problem() -> None:
    (finding,) = replicated(state(replicas=1, in_sync=1, min_insync_replicas="1"), brokers=1)
    assert finding.level == "ok"
    assert "on one disk" in finding.found


def test_replicas_out_of_sync_are_a_warning_until_writes_are_refused() -> None:
    assert at(replicated(state(in_sync=2)), "warning") == [
        "t.plays partitions 0, 1: under-replicated, some replicas are not in sync"
    ]
    (problem,) = at(replicated(state(in_sync=1)), "problem")
    assert "fewer replicas in sync than min.insync.replicas=2: every write is refused" in problem


def settings_of() -> Settings:
    return load(run="t")


def right(settings: Settings) -> dict[str, TopicState]:
    """All topics exactly as the run makes them."""
    return {
        topic.name: TopicState(topic.name, "an-id", (Partition(1, 1, 1),) * topic.partitions, dict(topic.config))
        for topic in topics_of(settings).all()
    }


def judged(states: dict[str, TopicState], settings: Settings) -> list[Finding]:
    return topics.judge(TopicsFacts("here:9092", states), settings)


def test_topics_as_the_run_makes_them_are_ok_and_none_at_all_are_a_note() -> None:
    settings = settings_of()
    assert [finding.level for finding in judged(right(settings), settings)] == ["ok"]
    (note,) = judged({}, settings)
    assert note.level == "note"
    assert "`listening up --run t`" in note.remedy


def test_one_missing_topic_among_others_is_a_problem() -> None:
    states = right(settings_of())
    del states["t.plays"]
    (problem,) = judged(states, settings_of())
    assert problem.level == "problem"
    assert problem.found.startswith("missing: t.plays")


def test_an_altered_setting_names_topic_both_values_and_the_command_that_sets_it_back() -> None:
    states = right(settings_of())
    states["t.plays"] = replace(states["t.plays"], config=states["t.plays"].config | {"retention.ms": "86400000"})
    (problem,) = judged(states, settings_of())
    assert problem.found == "t.plays has retention.ms=86400000, this run needs -1"
    assert "--bootstrap-server here:9092 --alter --entity-type topics --entity-name t.plays" in problem.remedy
    assert "--add-config retention.ms=-1" in problem.remedy


def test_other_partitions_name_the_variable_once_for_all_topics_that_follow_from_it() -> None:
    found = judged(right(settings_of()), load(run="t", partitions=8))
    assert [finding.found for finding in found] == [
        "t.playback-events, t.playback-events.dlq, t.plays have partitions=4, this run needs 8"
    ]
    assert found[0].remedy.startswith("set LISTENING_PARTITIONS back to 4")
    (sharded,) = judged(right(settings_of()), load(run="t", shards=2))
    assert "LISTENING_SHARDS" in sharded.remedy


def test_another_clock_names_its_variable_and_a_larger_limit_is_fine() -> None:
    states = right(settings_of())
    (clock, *rest) = judged(states, load(run="t", append_time=False))
    assert "message.timestamp.type=LogAppendTime, this run needs CreateTime" in clock.found
    assert "LISTENING_APPEND_TIME" in clock.remedy
    assert all("message.timestamp" in finding.found for finding in rest)
    states["t.plays"] = replace(states["t.plays"], config=states["t.plays"].config | {"max.message.bytes": str(32 << 20)})
    assert [finding.level for finding in judged(states, settings_of())] == ["ok"]


def test_a_limit_that_is_no_number_is_a_problem_and_no_traceback() -> None:
    states = right(settings_of())
    states["t.plays"] = replace(states["t.plays"], config=states["t.plays"].config | {"max.message.bytes": ""})
    assert [finding.level for finding in judged(states, settings_of())] == ["problem"]


def test_retention_that_a_topic_only_inherits_is_a_warning() -> None:
    states = right(settings_of())
    states["t.plays"] = replace(states["t.plays"], inherited=frozenset({"retention.ms", "segment.bytes"}))
    (warning,) = judged(states, settings_of())
    assert warning.level == "warning"
    assert "t.plays has its retention.ms from the broker's defaults" in warning.found


def test_a_partition_without_a_leader_is_a_problem_that_names_it() -> None:
    states = right(settings_of())
    parts = (Partition(1, 3, 3), Partition(-1, 3, 0), Partition(1, 3, 3), Partition(1, 3, 3))
    states["t.plays"] = replace(states["t.plays"], partitions=parts)
    assert at(judged(states, settings_of()), "problem") == [
        "t.plays partition 1 has no leader: nothing can be read or written there"
    ]


def cluster(controller: int | None = 1, **config: str) -> Cluster:
    entries = CONFIG | {name.replace("_", "."): value for name, value in config.items()}
    return Cluster("c-1", controller, tuple(Broker(number, f"b{number}:9092", entries) for number in (1, 2, 3)))


def brokers(known: Cluster, *, newest: int | None = None, now: int = HOUR, ids: tuple[str, ...] = ("x",)) -> list[Finding]:
    return broker.judge(BrokerFacts("here:9092", known, "", newest, ids), now)


def test_a_quiet_cluster_is_one_finding_with_version_brokers_and_controller() -> None:
    (finding,) = brokers(cluster(inter_broker_protocol_version="3.9-IV0"))
    assert finding.found == "Kafka 3.9-IV0 answers at here:9092: cluster c-1, 3 brokers, controller 1"
    assert brokers(cluster())[0].found.startswith("Kafka 4.0 or newer answers")


@pytest.mark.parametrize(
    ("findings", "level", "part"),
    [
        (brokers(cluster(controller=None)), "problem", "no controller"),
        (brokers(cluster(), ids=("x", broker.NO_ID)), "problem", "older than Kafka 2.8"),
        (brokers(cluster(auto_create_topics_enable="true")), "warning", "auto.create.topics.enable=true on broker 1, 2, 3"),
        (brokers(cluster(offsets_retention_minutes="10080")), "warning", "offsets.retention.minutes is 7 days"),
        (brokers(cluster(), newest=HOUR + 90_000), "warning", "90 s from now"),
    ],
)
def test_what_could_bite_a_run_is_said_with_a_remedy(findings: list[Finding], level: Level, part: str) -> None:
    (finding,) = (finding for finding in findings if finding.level == level)
    assert part in finding.found
    assert finding.remedy


def test_a_broker_clock_that_is_a_little_ahead_or_behind_is_no_finding() -> None:
    for newest in (HOUR + 4_000, HOUR - 10 * HOUR, None):
        assert [finding.level for finding in brokers(cluster(), newest=newest)] == ["ok"]


def test_a_missing_broker_is_a_problem_only_where_one_should_be() -> None:
    embedded, foreign = load(run="t"), load(run="t", kafka_bootstrap="kafka:9092")
    assert broker.judge_absence(embedded, "none answers", up=False)[0].level == "note"
    assert broker.judge_absence(embedded, "none answers", up=True)[0].level == "problem"
    (finding,) = broker.judge_absence(foreign, "none answers", up=False)
    assert finding.level == "problem"
    assert "LISTENING_KAFKA_BOOTSTRAP" in finding.remedy
