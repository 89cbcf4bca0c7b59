"""Results as tables for people and as plain values for JSON."""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.settings import PREFIX, Settings
from pipeline.store.queries import Copy, Top

if TYPE_CHECKING:
    from producers.produce import Produced


_TOO_WIDE = 1.5
"""Of the terminal's width: a table of more is shown as blocks."""
_UNITS = {"_seconds": "s", "_mb": "MiB", "_bytes": "bytes"}


def clock(ms: int) -> str:
    """An instant as a time of day with its date, UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def top_json(top: Top) -> dict[str, Any]:
    """The list with its window; instants as ISO 8601."""
    instants = {name: _iso(getattr(top, f"{name}_ms")) for name in ("start", "end", "watermark")}
    return {**instants, "final": top.final, "note": top.note, "artists": [asdict(place) for place in top.rows]}


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def print_top(top: Top, out: Console) -> None:
    kind = "final" if top.final else "provisional"
    out.print(f"Top artists from {clock(top.start_ms)} to {clock(top.end_ms)} UTC, {kind}")
    out.print(top_table(top) if top.rows else "no plays count in this window")
    if top.note:
        out.print(f"note: {top.note}", markup=False)


def top_table(top: Top, title: str | None = None, marked: int | None = None) -> Table:
    """Ranked artists by name; the artist with the id `marked` stands out."""
    table = Table(title=title, title_justify="left")
    for heading in ("rank", "artist", "plays"):
        table.add_column(heading, justify="left" if heading == "artist" else "right")
    for place in top.rows:
        name = place.name or f"artist {place.artist_id}"
        style = "bold magenta" if place.artist_id == marked else ""
        table.add_row(str(place.rank), name, f"{place.plays:,}", style=style)
    return table


def produced_json(produced: "Produced") -> dict[str, Any]:
    return asdict(produced) | {"events_per_second": round(produced.events_per_second)}


def print_produced(produced: "Produced", settings: Settings, out: Console) -> None:
    out.print(
        f"run {settings.run}: {produced.published:,} events in {produced.seconds:.1f} s "
        f"({produced.events_per_second:,.0f}/s): {produced.acknowledged:,} acknowledged, {produced.failed:,} failed, "
        f"{produced.unknown:,} unknown"
    )
    out.print("  " + ", ".join(f"{number:,} {kind}" for kind, number in produced.kinds.items()))
    out.print(f"  scenario from {clock(produced.start)} to {clock(produced.end)} UTC")
    for instant, countries in produced.releases.items():
        where = "" if len(produced.releases) == 1 else f" in {', '.join(countries)}"
        out.print(f"  {produced.hit_artist} releases an album at {clock(instant)} UTC{where}")
    here = Path.cwd()
    ledger = produced.ledger.relative_to(here) if produced.ledger.is_relative_to(here) else produced.ledger
    out.print(f"  ledger: {ledger}", markup=False)


def print_story(event_id: str, copies: Sequence[Copy], out: Console) -> None:
    day = clock(copies[0].played_at_ms)[:10]
    table = Table(title=f"Event {event_id}, {day} UTC", title_justify="left")
    several = len({copy.event_id for copy in copies}) > 1
    headings = ("partition", "offset", *(("event",) if several else ()), "service", "outcome", "first seen at")
    for heading in (*headings, "played", "sent", "appended"):
        table.add_column(heading, justify="right" if heading in ("partition", "offset", "first seen at") else "left")
    for copy in copies:
        times = (copy.played_at_ms, copy.sent_at_ms, copy.appended_at_ms)
        table.add_row(
            str(copy.partition),
            str(copy.offset),
            *((("this one" if copy.event_id == str(uuid.UUID(event_id)) else copy.event_id),) if several else ()),
            copy.service,
            copy.outcome,
            "here" if copy.first_offset == copy.offset else f"offset {copy.first_offset}",
            *(clock(ms).removeprefix(f"{day} ") for ms in times),
        )
    out.print(table)


def story_json(copies: Sequence[Copy]) -> list[dict[str, Any]]:
    return [asdict(copy) for copy in copies]


def readable_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Rows as plain values: UUIDs and times as text."""
    rows: list[dict[str, Any]] = table.to_pylist()
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return str(uuid.UUID(bytes=value)) if len(value) == 16 else value.decode("utf-8", "replace")
    return value


def print_table(table: pa.Table, out: Console) -> None:
    """Rows as a table, whole values folded into its cells; where it is far too wide, a block of lines a row."""
    if not table.num_rows:
        out.print("no rows")
        return
    # Text: what the rows hold is no markup.
    rows = [[Text("" if value is None else str(value)) for value in row.values()] for row in readable_rows(table)]
    widths = [max(map(len, (name, *column))) for name, *column in zip(table.column_names, *rows, strict=True)]
    if sum(widths) > _TOO_WIDE * out.width:
        _print_blocks(table.column_names, rows, out)
        return
    shown = Table()
    for name, kind in zip(table.column_names, table.schema.types, strict=True):
        numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        shown.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*row)
    out.print(shown)


def _print_blocks(names: Sequence[str], rows: Sequence[Sequence[Text]], out: Console) -> None:
    shown = Table()
    for heading in ("row", "column", "value"):
        shown.add_column(heading, justify="right" if heading == "row" else "left", overflow="fold")
    for number, row in enumerate(rows, 1):
        for place, (name, value) in enumerate(zip(names, row, strict=True), 1):
            shown.add_row("" if place > 1 else str(number), Text(name), value, end_section=place == len(row))
    out.print(shown)


def print_schema(tables: Mapping[str, Mapping[str, str]], out: Console) -> None:
    shown = Table()
    for heading in ("table", "column", "type"):
        shown.add_column(heading)
    for table, columns in tables.items():
        for number, (column, kind) in enumerate(columns.items()):
            shown.add_row("" if number else table, column, kind, end_section=number == len(columns) - 1)
    out.print(shown)


def settings_entries(settings: Settings, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every setting: variable, value, unit, default, meaning, and where the value comes from."""
    entries = []
    for name, field in type(settings).model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        source = "option" if name in options else "environment" if name in settings.model_fields_set else "default"
        entries.append(
            {
                "variable": PREFIX + name.upper(),
                "value": _text(getattr(settings, name)),
                "unit": next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), ""),
                "default": _text(default),
                "meaning": field.description,
                "source": source,
            }
        )
    return entries


def _text(value: Any) -> Any:
    """A value as JSON can hold it, without a DSN's password."""
    if value is None or isinstance(value, int | float | bool):
        return value
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", str(value))


def print_settings(entries: Sequence[Mapping[str, Any]], out: Console) -> None:
    table = Table()
    table.add_column("variable", no_wrap=True)
    for heading in ("value", "unit", "default", "source", "meaning"):
        table.add_column(heading, overflow="fold")
    for entry in entries:
        plain = entry["source"] == "default"
        value, default = ("" if entry[name] is None else str(entry[name]) for name in ("value", "default"))
        cells = (value, entry["unit"], "" if plain else default, entry["source"], entry["meaning"])
        table.add_row(entry["variable"], *cells, style="" if plain else "bold")
    out.print(table)
