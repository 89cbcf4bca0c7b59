"""How far each stage is behind its log, whether anybody works on it, and whether the log still holds what it needs.

The lag of a partition is its end minus where the stage goes on: classify where its outcomes end (what it committed is a
hint), the others at what they committed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.doctor.findings import NAMED, Finding
from pipeline.doctor.kafka import Kafka
from pipeline.settings import Settings
from pipeline.topics import group_of, topics_of

SUBJECT = "lag"
CLASSIFY, COUNT, RANK, SINK = "classify", "count", "rank", "sink"
PROCESSES = {CLASSIFY: "classify", COUNT: "rank", RANK: "rank", SINK: "store"}
"""Stage → the process that runs it."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a stage is in a partition: the log holds low to high - 1, it goes on at `next` (None: it never began)."""

    stage: str
    topic: str
    partition: int
    low: int
    high: int
    next: int | None

    @property
    def lag(self) -> int:
        """Records that are there and not worked off."""
        return max(0, self.high - max(self.low, self.next or 0))


@dataclass(frozen=True, slots=True)
class LagFacts:
    """`at_work`: the stages that some process is at work on."""

    positions: tuple[Position, ...]
    at_work: frozenset[str]


def gather(kafka: Kafka, *, store_up: bool) -> LagFacts:
    """`store_up`: the store answers; its group has no members, it assigns partitions to itself. Raises UnavailableError."""
    topics, groups, newest = topics_of(kafka.settings), kafka.groups, kafka.newest_plays
    ends = kafka.ends()
    stages = [
        (CLASSIFY, "classify", topics.events),
        (COUNT, "rank", topics.plays),
        (RANK, "rank", topics.counts),
        *((SINK, "sink", topic) for topic in (topics.plays, topics.counts, topics.tops, topics.artists)),
    ]
    positions = []
    for stage, group, topic in stages:
        for (name, number), bounds in sorted(kafka.bounds.items()):
            if name != topic.name:
                continue
            known = groups[group].committed.get((name, number))
            if stage == CLASSIFY and number in newest.headers:
                known = max(known or 0, newest.headers[number].last + 1)
            positions.append(Position(stage, name, number, bounds.low, ends[name, number], known))
    at_work = {stage for stage, group, _ in stages if groups[group].at_work} | ({SINK} if store_up else set())
    return LagFacts(tuple(positions), frozenset(at_work))


def judge(facts: LagFacts, settings: Settings, *, up: bool) -> list[Finding]:
    """`up`: a `listening up` lives on this data folder, so that every stage should have its process."""
    if not facts.positions:
        return [Finding("note", SUBJECT, f"run {settings.run} has no topics yet, so nothing can wait in them")]
    findings = [finding for position in facts.positions for finding in _lost(position, settings)]
    anybody = up or bool(facts.at_work)
    done = []
    for stage in (CLASSIFY, COUNT, RANK, SINK):
        behind = [position for position in facts.positions if position.stage == stage and position.lag]
        if not behind:
            done.append(stage)
        elif stage in facts.at_work:
            total = sum(position.lag for position in behind)
            remedy = "it works them off; `listening doctor` again shows whether the number falls"
            findings.append(Finding("note", SUBJECT, f"{stage} is {total:,} records behind: {_named(behind)}", remedy))
        else:
            findings.append(_down(stage, behind, settings, anybody=anybody))
    if done:
        findings.append(Finding("ok", SUBJECT, f"nothing waits for {', '.join(done)}"))
    return findings


def _down(stage: str, behind: list[Position], settings: Settings, *, anybody: bool) -> Finding:
    total, process = sum(position.lag for position in behind), PROCESSES[stage]
    found = f"{total:,} records wait for {stage} and nobody works on them: {_named(behind)}"
    if not anybody:
        return Finding("warning", SUBJECT, found, f"start it with `listening up --run {settings.run}`")
    log = settings.run_dir / "logs" / f"{process}.log"
    remedy = f"the process {process} is down while others are up: its log, {log}, says why; then `listening up` again"
    return Finding("problem", SUBJECT, found, remedy)


def _lost(position: Position, settings: Settings) -> list[Finding]:
    group = group_of(settings, {COUNT: "rank"}.get(position.stage, position.stage))
    where = f"{position.topic} partition {position.partition}"
    start = position.next or 0
    if start > position.high:
        found = (
            f"{where} ends at {position.high}, {position.stage} (group {group}) goes on at {start}: it was cut or made anew"
        )
        return [Finding("problem", SUBJECT, found, "begin a new run by LISTENING_RUN")]
    if start < position.low:
        found = (
            f"{where} begins at {position.low}, {position.stage} (group {group}) goes on at {start}: "
            f"offsets {start} to {position.low - 1} are lost"
        )
        remedy = (
            "nobody jumps over what was lost: find who deleted it (retention.ms and retention.bytes must be -1; "
            "kafka-delete-records.sh), and begin a new run by LISTENING_RUN"
        )
        return [Finding("problem", SUBJECT, found, remedy)]
    return []


def _named(positions: Iterable[Position]) -> str:
    """`live.plays 0: 12, 1: 7; live.artists 0: 3`, the largest first."""
    largest = sorted(positions, key=lambda position: -position.lag)
    shown, texts = largest[:NAMED], []
    for topic in dict.fromkeys(position.topic for position in shown):
        of_topic = ", ".join(f"{position.partition}: {position.lag:,}" for position in shown if position.topic == topic)
        texts.append(f"{topic} partition {of_topic}")
    more = f" and {len(largest) - NAMED} more" if len(largest) > NAMED else ""
    return "; ".join(texts) + more
