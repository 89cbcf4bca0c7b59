"""The tables that `make bench` prints."""

from collections.abc import Mapping
from statistics import median
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.benchmarks.results import WANTED

NOTE = (
    "CPU: user and system time of all its processes over their whole life, start included. Memory: the highest resident "
    "size of each, added up."
)


def print_tables(document: Mapping[str, Any], out: Console) -> None:
    """Contestants, ratios, measurements."""
    if document["contestants"] or document["skipped"]:
        out.print(_contestants(document))
        out.print(NOTE, style="dim")
    if document["ratios"]:
        out.print(_ratios(document))
    if document["measures"]:
        out.print(_measures(document["measures"]))
        for name, measured in document["measures"].items():
            if histogram := measured["figures"].get("histogram"):
                out.print(f"\n{name}")
                out.print("\n".join(bars(histogram)), highlight=False, markup=False)
    for name, sentences in document["failed"].items():
        for sentence in sentences:
            out.print(f"{name} failed: {sentence}", style="red", markup=False)


def bars(histogram: list[list[Any]], width: int = 50) -> list[str]:
    """Lines of a histogram [[label, number], …], the largest number as wide as `width`."""
    most = max((number for _, number in histogram), default=0) or 1
    longest = max((len(label) for label, _ in histogram), default=0)
    return [f"{label:>{longest}} {number:>10,} {'█' * round(number / most * width)}" for label, number in histogram]


def _contestants(document: Mapping[str, Any]) -> Table:
    table = Table("contestant", title=f"{document['events']:,} events, {document['rounds']} rounds")
    for heading in ("events/s", "from", "to", "CPU µs/event", "peak MB"):
        table.add_column(heading, justify="right")
    table.add_column("verify")
    for entry in document["contestants"].values():
        rates, rounds = entry["events_per_second"], [one for one in entry["rounds"] if one]
        label = entry["label"]
        if rounds and rounds[0]["events"] < document["events"]:
            label += f", {rounds[0]['events']:,} of them"
        if not rates:
            table.add_row(label, "failed", "", "", "", "", "")
            continue
        cpu, peak = (
            median(one["cpu_us_per_event"] for one in rounds),
            max(sum(one["peak_mb"].values()) for one in rounds),
        )
        numbers = (f"{rates[name]:,}" for name in ("median", "low", "high"))
        style = "bold" if entry["ours"] else ""
        table.add_row(label, *numbers, f"{cpu:.2f}", f"{peak:,}", escape(entry["verify"] or ""), style=style)
    for name, reason in document["skipped"].items():
        table.add_row(name, "skipped", "", "", "", "", escape(reason), style="yellow")
    return table


def _ratios(document: Mapping[str, Any]) -> Table:
    table = Table("ratio, ours over theirs")
    for heading in ("median", "from", "to", "bar"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for name in WANTED:
        if name not in document["ratios"]:
            continue
        spread, judged = document["spread"][name], document["bars"].get(name)
        numbers = (f"{value:.2f}" for value in (document["ratios"][name], spread["low"], spread["high"]))
        bar, holds = (f"{judged['bar']:g}", judged["holds"]) if judged else ("", None)
        table.add_row(name, *numbers, bar, "" if holds is None else "holds" if holds else "[red]below[/red]")
    return table


def _measures(measures: Mapping[str, Any]) -> Table:
    table = Table("measurement", "bar", "measured", "")
    for name, measured in measures.items():
        mark = "holds" if measured["holds"] else "[red]does not hold[/red]"
        table.add_row(name, escape(measured["bar"]), escape(measured["verdict"]), mark)
    return table
