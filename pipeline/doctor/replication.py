"""Replication: whether acks=all means that an acknowledged event outlives a broker."""

from dataclasses import dataclass

from pipeline.doctor.facts import TopicState
from pipeline.doctor.findings import Finding, listed, partitions
from pipeline.doctor.kafka import Kafka
from pipeline.doctor.topics import alter

SUBJECT = "replication"
COPIES, IN_SYNC = 3, 2
UNCLEAN, MIN_IN_SYNC = "unclean.leader.election.enable", "min.insync.replicas"


@dataclass(frozen=True, slots=True)
class ReplicationFacts:
    """`brokers`: how many the cluster has. `states`: the run's topics that exist."""

    bootstrap: str
    brokers: int
    states: tuple[TopicState, ...]


def gather(kafka: Kafka) -> ReplicationFacts:
    """Raises UnavailableError."""
    return ReplicationFacts(kafka.settings.bootstrap, len(kafka.cluster.brokers), tuple(kafka.topics.values()))


def judge(facts: ReplicationFacts) -> list[Finding]:
    """Findings of replicas: what is promised only if a topic has three of them, two in sync, and no unclean leader."""
    findings = [finding for state in facts.states for finding in _behind(state)]
    if facts.brokers == 1:
        found = "one broker: what it acknowledged is on one disk, and lost with it"
        findings.append(Finding("ok", SUBJECT, found))
    elif not facts.states:
        found = f"{facts.brokers} brokers, but no topics yet whose replication could be checked"
        remedy = f"before `listening up`, set default.replication.factor={COPIES} and {MIN_IN_SYNC}={IN_SYNC} on the brokers"
        findings.append(Finding("note", SUBJECT, found, remedy))
    else:
        findings += _promises(facts)
    return findings


def _promises(facts: ReplicationFacts) -> list[Finding]:
    nothing = "acks=all means little"
    few, loose, unclean = [], [], []
    for state in facts.states:
        copies = min((partition.replicas for partition in state.partitions), default=0)
        if copies < COPIES:
            few.append(f"{state.name} ({copies})")
        if _number(state.config.get(MIN_IN_SYNC, "")) < IN_SYNC:
            loose.append(state.name)
        if state.config.get(UNCLEAN) != "false":
            unclean.append(state.name)
    findings = []
    if few:
        found = (
            f"fewer than {COPIES} replicas: {listed(few)}: {nothing}, a broker that is lost takes acknowledged events along"
        )
        remedy = f"raise it with kafka-reassign-partitions.sh (default.replication.factor={COPIES} for new topics)"
        if facts.brokers < COPIES:
            remedy += f"; that needs {COPIES} brokers, the cluster has {facts.brokers}"
        findings.append(Finding("problem", SUBJECT, found, remedy))
    if loose:
        found = f"{MIN_IN_SYNC} below {IN_SYNC}: {listed(loose)}: {nothing}, the leader alone may acknowledge"
        remedy = f"for each: {alter('topics', loose[0], MIN_IN_SYNC, str(IN_SYNC), facts.bootstrap)}"
        findings.append(Finding("problem", SUBJECT, found, remedy))
    if unclean:
        found = f"{UNCLEAN} is not false: {listed(unclean)}: {nothing}, a replica without them may become leader"
        remedy = f"for each: {alter('topics', unclean[0], UNCLEAN, 'false', facts.bootstrap)}"
        findings.append(Finding("problem", SUBJECT, found, remedy))
    if not findings:
        kept = f"every topic has {COPIES} replicas or more, {MIN_IN_SYNC} {IN_SYNC} or more, no unclean leader"
        found = f"{facts.brokers} brokers; {kept}"
        findings.append(Finding("ok", SUBJECT, found))
    return findings


def _behind(state: TopicState) -> list[Finding]:
    behind = [number for number, partition in enumerate(state.partitions) if partition.in_sync < partition.replicas]
    if not behind:
        return []
    least = _number(state.config.get(MIN_IN_SYNC, ""))
    closed = [number for number in behind if state.partitions[number].in_sync < least]
    remedy = "start the brokers that hold the missing replicas, and look at their logs"
    if closed:
        found = (
            f"{state.name} {partitions(closed)}: fewer replicas in sync than {MIN_IN_SYNC}={least}: every write is refused"
        )
        return [Finding("problem", SUBJECT, found, remedy)]
    found = f"{state.name} {partitions(behind)}: under-replicated, some replicas are not in sync"
    return [Finding("warning", SUBJECT, found, remedy)]


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
