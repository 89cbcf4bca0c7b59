"""`listening doctor`: everything that a run needs, looked at; exit 1 where there is a problem."""

import json
import sys
import time
from typing import Annotated

import typer
from rich.console import Console

from pipeline import settings
from pipeline.errors import Exit


def doctor(
    run: Annotated[str | None, typer.Option("--run", metavar="NAME", help="The run, instead of LISTENING_RUN.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")] = False,
) -> None:
    """Look at everything that the run needs, up or not: what is wrong, what it means, what to do."""
    from pipeline.doctor import view
    from pipeline.doctor.examine import examine

    chosen = settings.load(run=run)
    began = time.monotonic()
    findings = examine(chosen)
    seconds = time.monotonic() - began
    if as_json:
        print(json.dumps(view.as_json(chosen.run, findings, seconds), indent=2))
    else:
        view.render(chosen.run, findings, seconds, Console(highlight=False, width=None if sys.stdout.isatty() else 100))
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(Exit.CHECK_FAILED)
