"""The run's topics: there, with the partitions and settings that they must have, and led."""

from collections import defaultdict
from dataclasses import dataclass

from pipeline.doctor.facts import TopicState
from pipeline.doctor.findings import Finding, listed, partitions
from pipeline.doctor.kafka import Kafka
from pipeline.settings import Settings
from pipeline.topics import Difference, differences, topics_of

SUBJECT = "topics"
DATED = "message.timestamp.type"
RETAINING = ("retention.ms", "retention.bytes")


@dataclass(frozen=True, slots=True)
class TopicsFacts:
    """The run's topics that exist, by name."""

    bootstrap: str
    states: dict[str, TopicState]


def gather(kafka: Kafka) -> TopicsFacts:
    """Raises UnavailableError."""
    return TopicsFacts(kafka.settings.bootstrap, kafka.topics)


def judge(facts: TopicsFacts, settings: Settings) -> list[Finding]:
    """Findings of the topics as `listening up` would hold them to what the run needs."""
    wanted, states = topics_of(settings).all(), facts.states
    missing = [topic.name for topic in wanted if topic.name not in states]
    alike: dict[tuple[str, ...], list[Difference]] = defaultdict(list)
    for topic in wanted:
        if state := states.get(topic.name):
            for entry in differences(settings, topic, len(state.partitions), state.config):
                alike[entry.setting, entry.actual, entry.wanted, entry.variable].append(entry)
    findings = [_differ(same, facts.bootstrap) for same in alike.values()]
    findings += [finding for state in states.values() for finding in (*_led(state), *_inherits(settings, state))]
    if len(missing) == len(wanted):
        found = f"run {settings.run} has no topics yet"
        findings.append(Finding("note", SUBJECT, found, f"`listening up --run {settings.run}` makes them"))
    elif missing:
        found = f"missing: {listed(missing)}; what they held is gone if they were there before"
        remedy = f"`listening up --run {settings.run}` makes them anew; if one held data, begin a new run by LISTENING_RUN"
        findings.append(Finding("problem", SUBJECT, found, remedy))
    if not findings:
        findings.append(Finding("ok", SUBJECT, f"all {len(wanted)} topics of run {settings.run} are as it needs them"))
    return findings


def _differ(alike: list[Difference], bootstrap: str) -> Finding:
    """Topics with one setting that is wrong in the same way."""
    difference, names = alike[0], [entry.topic for entry in alike]
    has = "has" if len(alike) == 1 else "have"
    found = f"{listed(names)} {has} {difference.setting}={difference.actual}, this run needs {difference.wanted}"
    new_run = "begin a new run by LISTENING_RUN"
    if difference.setting == "partitions":
        remedy = (
            f"set {difference.variable} back to {difference.actual}, or {new_run}: users would lose their remembered ids"
        )
    elif difference.setting == DATED:
        remedy = f"set {difference.variable} back if you changed it; if the topic was changed, {new_run}: clocks don't mix"
    else:
        each = "" if len(alike) == 1 else " on each"
        remedy = f"set it back{each}: {alter('topics', difference.topic, difference.setting, difference.wanted, bootstrap)}"
        if difference.setting in RETAINING:
            remedy += ", and see below whether data is lost already"
    return Finding("problem", SUBJECT, found, remedy)


def alter(kind: str, name: str, setting: str, value: str, bootstrap: str) -> str:
    """Kafka's own command line that alters a setting."""
    command = f"kafka-configs.sh --bootstrap-server {bootstrap} --alter --entity-type {kind} --entity-name {name}"
    return f"`{command} --add-config {setting}={value}`"


def _led(state: TopicState) -> list[Finding]:
    leaderless = [number for number, partition in enumerate(state.partitions) if partition.leader < 0]
    if not leaderless:
        return []
    found = f"{state.name} {partitions(leaderless)} has no leader: nothing can be read or written there"
    return [Finding("problem", SUBJECT, found, "start the brokers that hold it, and look at their logs")]


def _inherits(settings: Settings, state: TopicState) -> list[Finding]:
    """Retention that is right only because the broker's default is."""
    needed = next(topic.config for topic in topics_of(settings).all() if topic.name == state.name)
    borrowed = [
        name for name in RETAINING if name in needed and name in state.inherited and needed[name] == state.config.get(name)
    ]
    if not borrowed:
        return []
    found = f"{state.name} has its {' and '.join(borrowed)} from the broker's defaults: a change there would delete data"
    remedy = f"set it on the topic: {alter('topics', state.name, borrowed[0], needed[borrowed[0]], '…')}"
    return [Finding("warning", SUBJECT, found, remedy)]
