"""The dead-letter queue: how many entries, and why the newest are there."""

from collections import Counter
from dataclasses import dataclass

from pipeline.doctor.findings import Finding
from pipeline.doctor.kafka import Kafka
from pipeline.doctor.tails import tails
from pipeline.topics import topics_of

SUBJECT = "dead letters"
REASON = "__connect.errors.exception.class.name"
UNKNOWN = "no reason given"
_NEWEST, _REASONS = 64, 4
"""Entries of each partition that are looked at, and reasons that are named."""


@dataclass(frozen=True, slots=True)
class LetterFacts:
    """`entries`: in the queue; `reasons`: of the newest ones, by how many have each."""

    entries: int
    reasons: tuple[tuple[str, int], ...]


def gather(kafka: Kafka) -> LetterFacts:
    """Reads the ends of the queue. Raises UnavailableError."""
    topic = topics_of(kafka.settings).dlq.name
    ranges = {number: bounds for (name, number), bounds in kafka.bounds.items() if name == topic}
    reasons: Counter[str] = Counter()
    for tail in tails(kafka.settings.bootstrap, topic, ranges, _NEWEST, kafka.bounded.left):
        given = dict(tail.headers).get(REASON) or b""
        reasons[given.decode(errors="replace")[:40] or UNKNOWN] += 1
    return LetterFacts(sum(bounds.high - bounds.low for bounds in ranges.values()), tuple(reasons.most_common()))


def judge(facts: LetterFacts, run: str) -> list[Finding]:
    """Findings of the queue."""
    if not facts.entries:
        return [Finding("ok", SUBJECT, "none")]
    looked_at = sum(number for _, number in facts.reasons)
    reasons = ", ".join(f"{reason} {number}" for reason, number in facts.reasons[:_REASONS])
    more = f" and {len(facts.reasons) - _REASONS} other reasons" if len(facts.reasons) > _REASONS else ""
    found = f"{facts.entries:,} records were refused; of the newest {looked_at}: {reasons}{more}"
    remedy = f"`listening dlq list --run {run}` shows them; mend the producer that sends them, each counts as nothing"
    return [Finding("warning", SUBJECT, found, remedy)]
