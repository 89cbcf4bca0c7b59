"""What verify says: each check with what was expected, how much of it agreed, and the first differences."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

SHOWN = 5
"""Differences that a check keeps as sentences."""


def moment(milliseconds: int) -> str:
    """ISO 8601 with milliseconds, UTC; the number itself where no calendar reaches."""
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")
    except OverflowError:
        return f"{milliseconds} ms"


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison. `expected`: how many things must be there; `differing`: how many are missing, extra or other."""

    name: str
    expected: int
    agreed: int
    differing: int
    differences: tuple[str, ...] = ()
    not_compared: str = ""
    """Why the check could not be made; empty where it was."""

    @property
    def exact(self) -> bool:
        return not self.not_compared and self.differing == 0 and self.agreed == self.expected


def check_of(name: str, expected: int, agreed: int, sentences: Iterable[str]) -> Check:
    """A check of all its difference sentences, of which it keeps the first."""
    every = list(sentences)
    return Check(name, expected, agreed, len(every), tuple(every[:SHOWN]))


@dataclass(frozen=True, slots=True)
class KindTruth:
    """What became of one kind of the ledger's rows.

    `kind` is `play`, or the name of a look-alike, for originals. `published`: rows in the ledger; `in_log`: of them, those
    the log holds; the rest says how these ended. Of copies: `caught` as duplicates (a cross_service copy: as a
    near-duplicate, whatever the rules make of it), `late`, `missed` (as if they were originals), `invalid`; and of
    cross_service copies `skipped`, too short to be judged. Of originals the faults are `wrongly_dropped`, which ended as
    duplicates, and `wrongly_suspected`, which were taken for near-duplicates.
    """

    kind: str
    published: int
    in_log: int
    caught: int
    late: int
    missed: int
    invalid: int
    wrongly_dropped: int
    wrongly_suspected: int = 0
    skipped: int = 0
    is_original: bool = False

    @property
    def recall(self) -> float | None:
        """Share of the kind's copies that were caught, of those that would have counted otherwise: the late ones came when
        their first sighting was forgotten. None for originals, poison, and where there is none."""
        judged = self.caught + self.missed
        return self.caught / judged if judged and not self.is_original and self.kind != "poison" else None


@dataclass(frozen=True, slots=True)
class Truth:
    """The ledger's account of the duplicates. `duplicates`: outcomes of ids that the ledger knows, `copies`: of them,
    those that are truly copies; `suspects` and `suspected_copies`: the same of near-duplicates; `unknown`: records of ids
    that no ledger knows."""

    kinds: tuple[KindTruth, ...]
    duplicates: int
    copies: int
    suspects: int
    suspected_copies: int
    late_plays: int
    unknown: int
    unreadable: tuple[str, ...] = ()

    @property
    def precision(self) -> float | None:
        return self.copies / self.duplicates if self.duplicates else None

    @property
    def near_precision(self) -> float | None:
        """Share of near-duplicates that are truly another service's copies."""
        return self.suspected_copies / self.suspects if self.suspects else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result. `grown`: records that were appended after the snapshot, while it was verified. `unknown_then`: records
    that count as invalid because the registry did not have their schema when they were classified, though it has it now."""

    run: str
    offsets: int
    ticks: int
    outcomes: dict[str, int]
    watermark: int
    checks: tuple[Check, ...]
    truth: Truth | None = None
    grown: int = 0
    unknown_then: int = 0

    @property
    def exact(self) -> bool:
        return all(check.exact for check in self.checks)

    @property
    def sentence(self) -> str:
        if self.exact:
            return "verify: exact"
        failed = [check.name for check in self.checks if check.differing]
        left = [check.name for check in self.checks if check.not_compared]
        if failed:
            return f"verify: NOT exact: {', '.join(failed)} differ" + (f"; not compared: {', '.join(left)}" if left else "")
        return f"verify: not decided: {', '.join(left)} could not be compared"

    def as_json(self) -> dict[str, Any]:
        """Plain values for json.dumps."""
        document = asdict(self) | {"exact": self.exact, "sentence": self.sentence}
        document["checks"] = [asdict(check) | {"exact": check.exact} for check in self.checks]
        if self.truth is not None:
            document["truth"] |= {"precision": self.truth.precision, "near_precision": self.truth.near_precision}
            document["truth"]["kinds"] = [asdict(kind) | {"recall": kind.recall} for kind in self.truth.kinds]
        return document

    def render(self, console: Console) -> None:
        """Print the verdict for a person."""
        outcomes = ", ".join(f"{number:,} {label}" for label, number in self.outcomes.items() if number)
        console.print(
            f"run {self.run}: {self.offsets:,} offsets, {self.ticks:,} ticks, {outcomes or 'no events'}; "
            f"global watermark {moment(self.watermark) if self.watermark else 'not yet: a partition is silent'}",
            highlight=False,
        )
        console.print(_checks(self.checks))
        for check in self.checks:
            for difference in check.differences:
                console.print(f"  {check.name}: {difference}", style="red", markup=False, highlight=False)
            if check.differing > len(check.differences):
                console.print(f"  {check.name}: and {check.differing - len(check.differences):,} more", style="red")
            if check.not_compared:
                console.print(f"  {check.name}: {check.not_compared}", style="yellow", markup=False, highlight=False)
        if self.truth is not None:
            _render_truth(self.truth, console)
        if self.unknown_then:
            console.print(
                f"{self.unknown_then:,} records are invalid because the registry did not have their schema when they were "
                "classified (so says the dead-letter queue); it has it now: `listening dlq replay --reason unknown_schema`.",
                highlight=False,
            )
        if self.grown:
            console.print(f"{self.grown:,} records were appended after the snapshot; they are not part of this verdict.")
        console.print(self.sentence, style="bold green" if self.exact else "bold red", markup=False, highlight=False)


def _checks(checks: Iterable[Check]) -> Table:
    table = Table("check", "expected", "agreed", "differing", "")
    for name in ("expected", "agreed", "differing"):
        next(column for column in table.columns if column.header == name).justify = "right"
    for check in checks:
        mark = "exact" if check.exact else "not compared" if check.not_compared else "DIFFERS"
        table.add_row(check.name, f"{check.expected:,}", f"{check.agreed:,}", f"{check.differing:,}", mark)
    return table


_ALWAYS = ("sent", "caught", "missed", "wrongly\ndropped")
"""Columns that are shown whatever they hold."""


def _share(value: float) -> str:
    """As a percentage; 100% only where nothing at all is missing."""
    return "100%" if value == 1 else f"{value:.4%}"


def _numbers(kind: KindTruth) -> dict[str, int | None]:
    """By heading; None where it means nothing."""
    return {
        "sent": kind.published,
        "not in\nthe log": kind.published - kind.in_log,
        "caught": None if kind.is_original else kind.caught,
        "late": kind.late,
        "missed": None if kind.is_original else kind.missed,
        "too\nshort": kind.skipped if kind.kind == "cross_service" else None,
        "invalid": kind.invalid,
        "wrongly\ndropped": kind.wrongly_dropped if kind.is_original else None,
        "wrongly\nsuspected": kind.wrongly_suspected if kind.is_original else None,
    }


def _render_truth(truth: Truth, console: Console) -> None:
    table = Table()
    rows = {kind.kind: _numbers(kind) for kind in truth.kinds}
    shown = [name for name in next(iter(rows.values())) if name in _ALWAYS or any(row[name] for row in rows.values())]
    for heading in ("kind", *shown, "recall"):
        table.add_column(heading, justify="left" if heading == "kind" else "right", no_wrap=heading == "kind")
    for kind in truth.kinds:
        numbers = rows[kind.kind]
        plain = ("–" if numbers[name] is None else f"{numbers[name]:,}" for name in shown)
        table.add_row(kind.kind, *plain, "–" if kind.recall is None else _share(kind.recall))
    console.print(table)
    precision = "–" if truth.precision is None else _share(truth.precision)
    console.print(
        f"precision {precision} ({truth.copies:,} of {truth.duplicates:,} duplicates are copies by the ledger); "
        f"{truth.late_plays:,} plays late; {truth.unknown:,} records of ids that no ledger knows",
        highlight=False,
    )
    if truth.near_precision is not None:
        console.print(
            f"near-duplicates: precision {_share(truth.near_precision)} ({truth.suspected_copies:,} of {truth.suspects:,} "
            "are another service's copies by the ledger)",
            highlight=False,
        )
    for name in truth.unreadable:
        console.print(f"ledger file left out, it is no whole Parquet file: {name}", style="yellow", markup=False)
