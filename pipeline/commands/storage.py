"""`listening storage compare`: one question to raw plays, to panes and to the published lists."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from pipeline import settings
from pipeline.commands.shared import Json, Run, instant, out, print_json
from pipeline.errors import Exit

app = typer.Typer(name="storage", help="What the forms in which plays are stored cost and give.", no_args_is_help=True)


@app.callback()
def default() -> None:
    """Keeps `compare` a command of its own while it is the only one."""


@app.command()
def compare(
    window: Annotated[int | None, typer.Option(min=1, help="Length of the window, seconds.")] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="The window ends by then, ISO 8601 (UTC).")] = None,
    run: Run = None,
    as_json: Json = False,
) -> None:
    """The top artists of a final window three ways: rows read, time, room on disk; exit 1 where they don't agree."""
    from pipeline.api.documents import iso
    from pipeline.store.ask import get

    chosen = settings.load(run=run)
    until = iso(instant(at, "--at"))
    given = {name: value for name, value in (("window", window), ("at", until)) if value is not None}
    found = get(chosen, "/v1/storage", given)
    print_json(found) if as_json else _print(found, out)
    if not found["agree"]:
        raise typer.Exit(Exit.CHECK_FAILED)


def _print(found: dict[str, Any], console: Console) -> None:
    console.print(
        f"top {found['k']} of {found['window_seconds']:,} s, {found['start']} to {found['end']}; medians of "
        f"{found['repeated']}, as the engine says"
    )
    table = Table("from", "table", box=None)
    for name in ("rows read", "bytes read", "ms", "rows stored", "bytes on disk"):
        table.add_column(name, justify="right")
    for way in found["ways"]:
        numbers = [f"{way[name]:,}" for name in ("rows_read", "bytes_read", "milliseconds", "rows_stored", "bytes_on_disk")]
        table.add_row(way["source"], way["table"], *numbers)
    console.print(table)
    console.print("they agree, place by place" if found["agree"] else f"they differ at {found['difference']}")
    if found["note"]:
        console.print(found["note"])
