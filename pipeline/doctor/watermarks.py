"""Watermarks: how far event time has come in each partition, and which one holds all windows back."""

from dataclasses import dataclass

from pipeline.doctor.findings import Finding, partitions
from pipeline.doctor.kafka import Kafka
from pipeline.doctor.lag import CLASSIFY, LagFacts
from pipeline.report import clock
from pipeline.rules import Rules
from pipeline.topics import topics_of

SUBJECT = "watermarks"
_PANES = 2
"""Panes by which partitions may differ: ticks come once a pane, and each partition's outcomes at a time of their own."""


@dataclass(frozen=True, slots=True)
class WatermarkFacts:
    """Partition → watermark (epoch ms, 0: not heard from), and → source records that classify has not worked off."""

    watermarks: dict[int, int]
    waiting: dict[int, int]


def gather(kafka: Kafka, lag: LagFacts) -> WatermarkFacts:
    """Raises UnavailableError."""
    newest, events = kafka.newest_plays, topics_of(kafka.settings).events.name
    count = len(kafka.topics[events].partitions) if events in kafka.topics else 0
    known = {number: newest.headers[number].watermark if number in newest.headers else 0 for number in range(count)}
    waiting = {position.partition: position.lag for position in lag.positions if position.stage == CLASSIFY}
    return WatermarkFacts(known, waiting)


def judge(facts: WatermarkFacts, rules: Rules, run: str, now_ms: int) -> list[Finding]:
    """`now_ms`: this machine's clock."""
    latest = max(facts.watermarks.values(), default=0)
    if not latest:
        return [Finding("note", SUBJECT, "no partition was heard from yet", "publish something: `listening produce --help`")]
    slack = rules.grace_ms + _PANES * rules.pane_ms
    silent = [p for p, watermark in sorted(facts.watermarks.items()) if not watermark]
    held = [p for p, watermark in sorted(facts.watermarks.items()) if 0 < watermark < latest - slack]
    findings = []
    for numbers, what in ((silent, "not heard from, ever"), (held, "behind the others")):
        working = [number for number in numbers if facts.waiting.get(number)]
        quiet = [number for number in numbers if not facts.waiting.get(number)]
        if quiet:
            findings.append(_quiet(quiet, what, facts, latest, run))
        if working:
            found = f"{partitions(working)} {what}, since classify has not worked off what waits there: windows wait with it"
            findings.append(Finding("note", SUBJECT, found, "see lag"))
    return [*findings, Finding("ok", SUBJECT, _newest(facts, latest, now_ms))]


def _quiet(numbers: list[int], what: str, facts: WatermarkFacts, latest: int, run: str) -> Finding:
    slowest = min(facts.watermarks[number] for number in numbers)
    behind = f", by up to {age(latest - slowest)}" if slowest else ""
    until = f"no window that ends after {clock(slowest)} UTC" if slowest else "no window at all"
    found = f"{partitions(numbers)} {what}{behind}, and nothing waits there: {until} can be final"
    remedy = f"its producers must write ticks, or `listening tick --run {run}` for them"
    return Finding("warning", SUBJECT, found, remedy)


def _newest(facts: WatermarkFacts, latest: int, now_ms: int) -> str:
    heard = {p: watermark for p, watermark in facts.watermarks.items() if watermark}
    smallest = min(heard.values())
    ages = " to ".join(dict.fromkeys((_ago(now_ms - latest), _ago(now_ms - smallest))))
    return (
        f"{len(heard)} of {len(facts.watermarks)} partitions heard from, watermarks {ages}, the newest {clock(latest)} UTC"
    )


def _ago(ms: int) -> str:
    return f"{age(ms)} ago" if ms >= 0 else f"{age(-ms)} ahead of this machine's clock"


def age(ms: int) -> str:
    """A length of time, not negative, in its two largest units."""
    seconds = ms // 1000
    units = [(seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    first = next((at for at, (number, _) in enumerate(units) if number), 3)
    return " ".join(f"{number} {unit}" for number, unit in units[first : first + 2] if number) or "0 s"
