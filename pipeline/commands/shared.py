"""What every command has: --run, --json, the console, and the broker it needs."""

import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from pipeline import settings
from pipeline.settings import Settings

_ANSWER_SECONDS = 5.0

out = Console(highlight=False, width=None if sys.stdout.isatty() else 100)

Run = Annotated[str | None, typer.Option("--run", metavar="NAME", help="The run, instead of LISTENING_RUN.")]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]


def print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, default=str))


def instant(text: str | None, option: str) -> int | None:
    """An option's ISO 8601 time as epoch ms; UTC where it names no zone."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{option} {text} is no ISO 8601 time such as 2026-11-23T12:00:00") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def command_line(arguments: str, variables: dict[str, str]) -> str:
    """A `listening` command as it is typed, with the variables it needs before it."""
    return " ".join([*(f"{name}={value}" for name, value in variables.items()), "listening", arguments])


def with_broker(run: str | None) -> Settings:
    """The settings, once Kafka has answered. Raises UnavailableError within seconds where it is not up."""
    from pipeline.admin import wait_for_broker

    chosen = settings.load(run=run)
    wait_for_broker(chosen, _ANSWER_SECONDS)
    return chosen
