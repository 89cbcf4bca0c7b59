"""`listening keys add|list|remove`: who may publish through the gateway and ask the API."""

import sys
import time
from typing import Annotated, Any

import typer
from rich.table import Table

from pipeline import settings
from pipeline.commands.shared import Json, out, print_json
from pipeline.http import keys
from pipeline.http.keys import SCOPES, Key
from pipeline.report import clock

app = typer.Typer(name="keys", help="API keys: make, list and remove them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.", show_default=False)]
Scopes = Annotated[list[str], typer.Option("--scope", metavar="publish|read", help="What it may do; once for each.")]
LimitEvents = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Events it may publish in a window, instead of LISTENING_GATEWAY_LIMIT_EVENTS."),
]


@app.command()
def add(name: Name, scope: Scopes = ["publish"], limit_events: LimitEvents = None, as_json: Json = False) -> None:  # noqa: B006
    """Make a key. Its secret is printed once, and kept nowhere."""
    if unknown := sorted({*scope} - SCOPES):
        raise typer.BadParameter(f"--scope {unknown[0]} is none: {' or '.join(sorted(SCOPES))}")
    path, scopes = settings.load().keys_file, [known for known in SCOPES if known in scope]
    key, secret = keys.create(path, name, scopes, limit_events, now_ms=time.time_ns() // 1_000_000)
    print_json(_as_json(key) | {"secret": secret}) if as_json else print(secret)
    print(
        f"key {key.name} may {' and '.join(sorted(key.scopes))}; keep the secret, it is not shown again: {path} holds "
        "its digest alone",
        file=sys.stderr,
    )


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """The keys there are, without their secrets, which nobody has."""
    path = settings.load().keys_file
    found = keys.listed(path)
    if as_json:
        print_json([_as_json(key) for key in found])
    elif not found:
        out.print(f"{path} holds no keys: make one with `listening keys add NAME`", markup=False, soft_wrap=True)
    else:
        table = Table("name", "id", "scopes", "events a window", "made, UTC")
        for key in found:
            limit = "the setting" if key.limit_events is None else f"{key.limit_events:,}"
            table.add_row(key.name, key.id, ", ".join(sorted(key.scopes)), limit, clock(key.created_at_ms))
        out.print(table)


@app.command()
def remove(name: Name, as_json: Json = False) -> None:
    """Remove a key: servers that run refuse it from the next request on."""
    key = keys.remove(settings.load().keys_file, name)
    if as_json:
        print_json(_as_json(key))
    print(f"key {key.name} ({key.id}) is removed", file=sys.stderr)


def _as_json(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "created_at_ms": key.created_at_ms,
        "limit_events": key.limit_events,
    }
