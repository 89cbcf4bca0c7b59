"""The inspector's findings as tables for people and as plain values for JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.inspector.distances import BINS
from pipeline.inspector.layers import Upserts
from pipeline.inspector.offenders import Sender
from pipeline.inspector.summary import Summary
from pipeline.inspector.sweep import Horizon, Tolerance
from pipeline.verify.truth import CROSS_SERVICE
from pipeline.verify.verdict import KindTruth, Truth

BAR = 20
_EIGHTHS = " ▏▎▍▌▋▊▉"


def bar(share: float, width: int = BAR) -> str:
    """A share of 1 as a bar of so many cells at most; what is there at all is seen."""
    eighths = max(round(share * width * 8), 1 if share > 0 else 0)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def summary_json(found: Summary) -> dict[str, Any]:
    document = asdict(found)
    if found.truth is not None:
        document["truth"] |= {"precision": found.truth.precision, "near_precision": found.truth.near_precision}
        document["truth"]["kinds"] = [
            asdict(kind) | {"recall": kind.recall, "beyond": _beyond(kind)} for kind in found.truth.kinds
        ]
    document["senders"] = {
        what: [asdict(one) | {"share": one.share} for one in senders] for what, senders in found.senders.items()
    }
    document["upserts"] = [asdict(one) | {"merged": one.merged, "at_query": one.at_query} for one in found.upserts]
    return document


def print_summary(found: Summary, out: Console) -> None:
    """Layers, kinds, distances, senders."""
    out.print(
        f"run {found.run}: of {found.offsets:,} offsets {found.duplicates:,} duplicates and {found.near_duplicates:,} "
        f"near-duplicates (the rule: {found.rule})"
    )
    _print_layers(found, out)
    if found.truth is not None:
        _print_kinds(found.truth, out)
    else:
        out.print("there is no ledger, so nothing tells of which kind a copy is")
    _print_distances(found.distances, out)
    for what in ("service", "platform", "user"):
        _print_senders(what, found.senders[what], out)


def _print_layers(found: Summary, out: Console) -> None:
    table = _table("Which layer stops what", "layer", ">copies", "what it does")
    retried = "–" if found.requests_retried is None else f"{found.requests_retried:,}"
    table.add_row("producer", retried, "requests sent again after no answer: idempotence lets the broker keep one")
    table.add_row("classify", f"{found.duplicates:,}", "copies of an event by its id, within the horizon: not counted")
    drops = "not counted" if found.rule == "drop" else "marked, and counted" if found.rule == "mark" else "not looked for"
    table.add_row("classify", f"{found.near_duplicates:,}", f"another service's report of a listen: {drops}")
    merged = [one.merged for one in found.upserts]
    told = "–" if None in merged else f"{sum(one or 0 for one in merged):,}"
    since = " (the store was restarted since)" if None in merged else ""
    table.add_row("ClickHouse", told, f"rows that merges replaced: counts that grew, batches stored twice{since}")
    table.add_row("query", f"{sum(one.at_query for one in found.upserts):,}", _at_query(found.upserts))
    out.print(table)


def _at_query(upserts: Sequence[Upserts]) -> str:
    waiting = ", ".join(f"{one.table} {one.at_query:,}" for one in upserts if one.at_query)
    return "rows not merged yet, which FINAL passes over" + (f" ({waiting})" if waiting else "")


def _print_kinds(truth: Truth, out: Console) -> None:
    table = _table(
        "Kinds, by the ledger",
        "kind",
        ">sent",
        ">in log",
        ">caught",
        ">beyond",
        ">missed",
        ">too\nshort",
        ">wrongly\ncaught",
        ">recall",
    )
    for kind in truth.kinds:
        cells = [f"{kind.published:,}", f"{kind.in_log:,}", "–", "–", "–", "–", "–", "–"]
        if kind.is_original:
            cells[6] = f"{kind.wrongly_dropped + kind.wrongly_suspected:,}"
        elif kind.kind != "poison":
            cells[2:5] = [f"{number:,}" for number in (kind.caught, _beyond(kind), kind.missed)]
            cells[5] = f"{kind.skipped:,}" if kind.kind == CROSS_SERVICE else "–"
            cells[7] = "–" if kind.recall is None else f"{kind.recall:.2%}"
        table.add_row(kind.kind, *cells)
    out.print(table)
    out.print(
        "caught: as a duplicate, a cross_service copy as a near-duplicate. beyond: it came when its first sighting was no "
        "longer remembered, or too late to count, and is stored as late. recall: of those within.",
        style="dim",
    )
    for name in truth.unreadable:
        out.print(f"ledger file left out, it is no whole Parquet file: {name}", style="yellow", markup=False)


def _beyond(kind: KindTruth) -> int:
    return 0 if kind.is_original else kind.late


def _print_distances(distances: dict[str, dict[str, int]], out: Console) -> None:
    if not distances:
        return
    table = _table("How far apart copies were, by the log's clock", "up to", *(f">{kind}" for kind in distances), "")
    totals = {name: sum(bins[name] for bins in distances.values()) for name in BINS}
    for name in BINS:
        if totals[name]:
            cells = (f"{bins[name]:,}" if bins[name] else "" for bins in distances.values())
            table.add_row(name, *cells, bar(totals[name] / max(totals.values())))
    out.print(table)


def _print_senders(what: str, senders: Sequence[Sender], out: Console) -> None:
    table = _table(f"Who sends copies, by {what}", what, ">events", ">duplicates", ">near-duplicates", ">share")
    for one in senders:
        numbers = (f"{number:,}" for number in (one.events, one.duplicates, one.near_duplicates))
        table.add_row(one.name, *numbers, f"{one.share:.2%}")
    if senders:
        out.print(table)


def print_tolerances(found: Sequence[Tolerance], mine: int, out: Console) -> None:
    table = _table(
        "Near-duplicates by tolerance: another service's copies found, against plays that are none",
        *(">tolerance", ">suspects", ">recall", "", ">precision", "", ">falsely suspected"),
    )
    for one in found:
        recall, precision = (
            ("–", "") if share is None else (f"{share:.2%}", bar(share, 12)) for share in (one.recall, one.precision)
        )
        false = "–" if one.falsely_suspected is None else f"{one.falsely_suspected:,}"
        style = "bold" if one.seconds == mine else ""
        table.add_row(f"{one.seconds} s", f"{one.suspects:,}", *recall, *precision, false, style=style)
    out.print(table)


def print_horizons(found: Sequence[Horizon], mine: int, out: Console) -> None:
    table = _table(
        "Duplicates by horizon: memory, against copies that are not recognised",
        *(">horizon", ">duplicates", ">leaked", ">ids at most", ">MB", ""),
    )
    most = max(one.remembered_bytes for one in found)
    for one in found:
        leaked = "–" if one.leaked is None else f"{one.leaked:,}"
        cells = (f"{one.duplicates:,}", leaked, f"{one.remembered:,}", f"{one.remembered_bytes / 1e6:.1f}")
        share = one.remembered_bytes / most if most else 0.0
        table.add_row(_length(one.seconds), *cells, bar(share), style="bold" if one.seconds == mine else "")
    out.print(table)


def _length(seconds: int) -> str:
    return f"{seconds // 60} min" if seconds % 3600 else f"{seconds // 3600} h"


def _table(title: str, *headings: str) -> Table:
    """A table; headings that begin with > are of numbers."""
    table = Table(title=title, title_justify="left")
    for heading in headings:
        is_number = heading.startswith(">")
        table.add_column(heading.removeprefix(">"), justify="right" if is_number else "left", no_wrap=heading == "kind")
    return table
