"""Findings as a table for people and as plain values for JSON."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.doctor.findings import LEVELS, Finding, Level

STYLES: dict[Level, str] = {"problem": "bold red", "warning": "bold yellow", "note": "", "ok": "green"}
MARKS: dict[Level, str] = {"problem": "PROBLEM", "warning": "Warning", "note": "note", "ok": "ok"}
"""Told apart without colour too."""


def as_json(run: str, findings: Sequence[Finding], seconds: float) -> dict[str, Any]:
    """`ok`: whether there is no problem; the findings in the table's order."""
    counts = Counter(finding.level for finding in findings)
    return {
        "run": run,
        "ok": not counts["problem"],
        "counts": {level: counts[level] for level in LEVELS},
        "seconds": round(seconds, 2),
        "findings": [asdict(finding) for finding in findings],
    }


def merged(findings: Sequence[Finding]) -> list[tuple[tuple[str, ...], Finding]]:
    """Findings that follow each other and say the same of different subjects (no broker, say), as one with its subjects."""
    said = groupby(findings, lambda f: (f.level, f.found, f.remedy))
    rows = [list(same) for _, same in said]
    return [(tuple(dict.fromkeys(finding.subject for finding in same)), same[0]) for same in rows]


def render(run: str, findings: Sequence[Finding], seconds: float, out: Console) -> None:
    """Print the table, a section a subject, and a closing line with the counts."""
    table = Table(title=f"Run {run}", title_justify="left", expand=False)
    table.add_column("", no_wrap=True)
    table.add_column("about", no_wrap=True)
    table.add_column("what was found → what to do", overflow="fold")
    rows = merged(findings)
    for number, (about, finding) in enumerate(rows):
        first = number == 0 or rows[number - 1][0] != about
        last = number + 1 == len(rows) or rows[number + 1][0] != about
        style = STYLES[finding.level]
        text = Text().append(finding.found, style=style if finding.level in ("problem", "warning") else "")
        if finding.remedy:
            text.append(f"\n→ {finding.remedy}")
        mark = Text(MARKS[finding.level], style=style)
        table.add_row(mark, Text("\n".join(about) if first else ""), text, end_section=last)
    out.print(table)
    counts = Counter(finding.level for finding in findings)
    named = [f"{counts[level]} {level}{'s' if counts[level] != 1 else ''}" for level in LEVELS[:-1] if counts[level]]
    said = ", ".join(named) or "nothing to do"
    out.print(f"doctor: {said}, {counts['ok']} ok, in {seconds:.1f} s", style="bold red" if counts["problem"] else "bold")
