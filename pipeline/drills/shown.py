"""Drills in the terminal: the matrix of all, the words on one."""

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from pipeline.drills import readings
from pipeline.drills.readings import Answer
from pipeline.drills.report import duration, number
from pipeline.drills.told import Result

_WORDS: dict[Answer, tuple[str, str]] = {
    "holds": ("yes", "green"),
    "no": ("NO", "bold red"),
    "apart": ("–", "dim"),
    "unasked": ("", ""),
}


def print_results(results: Sequence[Result], console: Console, report: Path | None = None) -> None:
    """The matrix, the negative controls, how many passed, and where the report lies. Fits 100 columns."""
    drills = [result for result in results if not readings.is_control(result)]
    controls = [result for result in results if readings.is_control(result)]
    if drills:
        console.print(_matrix(drills))
        names = ", ".join(readings.oracles(drills).values())
        console.print(Text(f"{names}. yes: holds, NO: says no, –: does not apply; times in s", "dim"))
    if controls:
        console.print(_controls(controls))
    passed, found = (sum(result.passed for result in kind) for kind in (drills, controls))
    good = bool(results) and passed + found == len(results)
    line = f"{passed} of {len(drills)} drills passed"
    if controls:
        line += f", {found} of {len(controls)} promises taken back were found by the oracle that speaks of them"
    console.print(Text(line, "bold green" if good else "bold red"))
    if report is not None:
        console.print(Text(f"report: {report}", overflow="fold"), soft_wrap=True)


def _matrix(drills: Sequence[Result]) -> Table:
    keys = readings.oracles(drills)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))  # room for names within 100 columns
    table.add_column("#", justify="right")
    table.add_column("drill", overflow="fold")
    for key in keys:
        table.add_column(key, justify="center", no_wrap=True)
    for heading in ("silent", "lag 0 in", "peak MB"):
        table.add_column(heading, justify="right")
    table.add_column("verdict", no_wrap=True)
    for result in drills:
        largest = readings.largest_process(result)
        table.add_row(
            str(result.number),
            Text(result.name),
            *(Text(*_WORDS[readings.answer(readings.verdicts_of(result, key))]) for key in keys),
            _seconds(readings.longest_silence(result)),
            _seconds(readings.until_zero_lag(result)),
            "" if largest is None else number(largest[1]),
            _verdict(result),
        )
    return table


def _seconds(value: int | float | str | None) -> str:
    return "?" if value is None else number(value)


def _verdict(result: Result) -> Text:
    if result.passed:
        return Text("found" if readings.is_control(result) else "passed", "green")
    return Text("ERROR" if result.error else "NOT FOUND" if readings.is_control(result) else "FAILED", "bold red")


def _controls(controls: Sequence[Result]) -> Table:
    table = Table(title="Negative controls", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("control", "promise taken back", "expected"):
        table.add_column(heading, overflow="fold")
    table.add_column("verdict", no_wrap=True)
    for result in controls:
        expected = result.expects.partition(": ")[0]
        table.add_row(Text(result.name), Text(result.breach), Text(expected), _verdict(result))
    return table


def print_result(result: Result, console: Console) -> None:
    """One drill: verdict, each oracle's sentence, moments, peaks."""
    head = Text.assemble((f"{result.number} {result.name}", "bold"), f": {result.title}  ", _verdict(result))
    console.print(head)
    told = {"fault": result.fault, "bound": result.bound, "taken back": result.breach, "expected": result.expects}
    for name, text in told.items():
        if text:
            console.print(Text(f"  {name}: {text}"))
    console.print(Text(f"  seed {result.seed}, {duration(result.seconds)}, ") + _reading(result))
    if result.error:
        console.print(Text(f"  could not be judged: {result.error}", "bold red"))
    said = Table("oracle", "holds", Column("what it says", overflow="fold"), box=box.SIMPLE_HEAD, pad_edge=False)
    for verdict in result.verdicts:
        said.add_row(Text(verdict.oracle), Text(*_WORDS[readings.answer([verdict])]), Text(verdict.sentence))
    moments = Table(
        Column("second", justify="right"), "kind", Column("what", overflow="fold"), box=box.SIMPLE_HEAD, pad_edge=False
    )
    for moment in sorted(result.moments, key=lambda moment: moment.second):
        moments.add_row(
            f"{moment.second:.1f}", moment.kind, Text(moment.what), style="red" if moment.kind == "fault" else ""
        )
    for table in (said, moments):
        if table.row_count:
            console.print(table)
    if result.peak_mb:
        peaks = sorted(result.peak_mb.items(), key=lambda peak: -peak[1])
        console.print(Text("peak memory: " + ", ".join(f"{process} {number(mb)} MB" for process, mb in peaks)))


def _reading(result: Result) -> Text:
    silence, lag = readings.longest_silence(result), readings.until_zero_lag(result)
    return Text(f"longest silence {_seconds(silence)} s, zero lag {_seconds(lag)} s after the fault")
