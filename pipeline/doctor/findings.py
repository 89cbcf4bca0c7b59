"""What the doctor finds: a level, what it is about, what is there, and what to do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["problem", "warning", "note", "ok"]
LEVELS: tuple[Level, ...] = ("problem", "warning", "note", "ok")
"""Worst first. problem: the run can't go on, or its results can't be trusted; warning: it will bite, or holds results back;
note: good to know, or a check that could not be made; ok: as it must be."""
NAMED = 8
"""Most partitions that a sentence names one by one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about one subject; `remedy` says what to do, empty where nothing needs doing."""

    level: Level
    subject: str
    found: str
    remedy: str = ""


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Grouped by subject, worst subjects first, and in each the worst first; otherwise in the order they came in."""
    every = list(findings)
    subjects = list(dict.fromkeys(finding.subject for finding in every))
    worst = {name: min(rank(finding) for finding in every if finding.subject == name) for name in subjects}
    return sorted(every, key=lambda f: (worst[f.subject], subjects.index(f.subject), rank(f)))


def rank(finding: Finding) -> int:
    """0 for the worst level."""
    return LEVELS.index(finding.level)


def listed(entries: Sequence[object]) -> str:
    """`1, 2, 3`, and how many more where there are many."""
    named = ", ".join(map(str, entries[:NAMED]))
    return named if len(entries) <= NAMED else f"{named} and {len(entries) - NAMED} more"


def partitions(numbers: Sequence[int]) -> str:
    """`partition 3` or `partitions 1, 3`."""
    return f"partition{'s' if len(numbers) != 1 else ''} {listed(numbers)}"
