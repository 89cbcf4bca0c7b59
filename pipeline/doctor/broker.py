"""The Kafka cluster: who answers, which version, whose clock, and settings of the brokers that could bite a run."""

from dataclasses import dataclass

from deploy.embedded.jars import read_lock
from pipeline.doctor.facts import Broker, Cluster
from pipeline.doctor.findings import Finding, listed
from pipeline.doctor.kafka import Kafka
from pipeline.errors import UnavailableError
from pipeline.settings import Settings

SUBJECT = "broker"
NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"
"""The topic id of a broker that knows of none (Kafka before 2.8), as Base64."""
AHEAD_MS = 5_000
"""A broker's clock that is farther ahead of ours is worth a word."""
REST_DAYS = 30
"""A run may rest that long: committed offsets that are gone by then mean that everything is stored again."""


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """`embedded`: the version of the embedded broker, empty for somebody else's. `newest`: broker time of the newest source
    record, epoch ms, None where it can't be had or is not the broker's. `topic_ids`: of the run's topics."""

    bootstrap: str
    cluster: Cluster
    embedded: str
    newest: int | None
    topic_ids: tuple[str, ...]


def gather(kafka: Kafka) -> BrokerFacts:
    """Raises UnavailableError."""
    settings = kafka.settings
    try:
        newest = max(kafka.newest_times.values(), default=None) if settings.append_time else None
    except UnavailableError:  # brokers before 3.0 can't tell
        newest = None
    embedded = "" if settings.kafka_bootstrap else _embedded_version()
    ids = tuple(topic.id for topic in kafka.topics.values())
    return BrokerFacts(settings.bootstrap, kafka.cluster, embedded, newest, ids)


def judge_absence(settings: Settings, why: str, *, up: bool) -> list[Finding]:
    """No broker answers. `up`: a `listening up` lives on this data folder, so that one should."""
    if settings.kafka_bootstrap:
        return [Finding("problem", SUBJECT, why, "start it, or check LISTENING_KAFKA_BOOTSTRAP")]
    if up:
        log = settings.data_dir.absolute() / "broker" / "broker.log"
        remedy = (
            f"wait if it was just started; else look at {log}, or at LISTENING_KAFKA_PORT if it was started with another"
        )
        return [Finding("problem", SUBJECT, f"{why}, though `listening up` runs", remedy)]
    return [Finding("note", SUBJECT, f"{why}: the run is not up", f"start it with `listening up --run {settings.run}`")]


def judge(facts: BrokerFacts, now_ms: int) -> list[Finding]:
    """Findings of the cluster; `now_ms`: this machine's clock."""
    cluster, findings = facts.cluster, []
    if cluster.controller is None:
        remedy = "look at the controllers' logs: without one no topic is made and no leader chosen"
        findings.append(Finding("problem", SUBJECT, "the cluster has no controller", remedy))
    if NO_ID in facts.topic_ids:
        found = "the broker gives topics no ids: it is older than Kafka 2.8, and a topic that was made anew goes unnoticed"
        findings.append(Finding("problem", SUBJECT, found, "use Kafka 2.8 or newer; 4.1 is what this was tested with"))
    creating = [b.id for b in cluster.brokers if b.config.get("auto.create.topics.enable") == "true"]
    if creating:
        found = (
            f"auto.create.topics.enable=true on broker {listed(creating)}: a producer that comes before `listening up`, or "
            "after a topic was deleted, makes it with the broker's defaults, which no run can use"
        )
        findings.append(Finding("warning", SUBJECT, found, "set it to false in the brokers' server.properties"))
    findings += _offsets_retention(cluster.brokers)
    if facts.newest is not None and facts.newest - now_ms > AHEAD_MS:
        ahead = (facts.newest - now_ms) / 1000
        found = f"its clock is ahead of this machine's: it dated the newest source record {ahead:,.0f} s from now"
        remedy = "set both clocks by NTP: event time is capped by the broker's, and ages here are by this machine's"
        findings.append(Finding("warning", SUBJECT, found, remedy))
    return [Finding("ok", SUBJECT, _who(facts)), *findings]


def _who(facts: BrokerFacts) -> str:
    cluster = facts.cluster
    count = f"{len(cluster.brokers)} broker{'s' if len(cluster.brokers) != 1 else ''}"
    controller = "" if cluster.controller is None else f", controller {cluster.controller}"
    return f"{_version(facts)} answers at {facts.bootstrap}: cluster {cluster.id}, {count}{controller}"


def _version(facts: BrokerFacts) -> str:
    """As far as clients are told: the protocol version is a setting until Kafka 3.9, and gone since 4.0."""
    if facts.embedded:
        return f"embedded Kafka {facts.embedded}"
    stated = sorted({broker.config.get("inter.broker.protocol.version", "") for broker in facts.cluster.brokers} - {""})
    return f"Kafka {' and '.join(stated)}" if stated else "Kafka 4.0 or newer"


def _offsets_retention(brokers: tuple[Broker, ...]) -> list[Finding]:
    stated = [broker.config.get("offsets.retention.minutes", "") for broker in brokers]
    days = min((int(text) for text in stated if text.isdecimal()), default=1 << 31) / (24 * 60)
    if days >= REST_DAYS:
        return []
    found = f"offsets.retention.minutes is {days:g} days: a run that rests longer loses what the sink committed, and then"
    found += " stores everything anew (or, where the log was cut, refuses to)"
    return [
        Finding("warning", SUBJECT, found, f"set it to {REST_DAYS * 24 * 60} or more on the brokers, or don't let runs rest")
    ]


def _embedded_version() -> str:
    versions = (jar.coordinate.split(":") for jar in read_lock())
    return next((version for _, artifact, version in versions if artifact.startswith("kafka_")), "of an unknown version")
