"""`listening doctor`: everything that a run needs, looked at; exit 1 where there is a problem."""

import time

import typer

from pipeline import settings
from pipeline.commands.shared import Json, Run, out, print_json
from pipeline.errors import Exit


def doctor(
    run: Run = None,
    as_json: Json = False,
) -> None:
    """Look at everything that the run needs, up or not: what is wrong, what it means, what to do."""
    from pipeline.doctor import view
    from pipeline.doctor.examine import examine

    chosen = settings.load(run=run)
    began = time.monotonic()
    findings = examine(chosen)
    seconds = time.monotonic() - began
    if as_json:
        print_json(view.as_json(chosen.run, findings, seconds))
    else:
        view.render(chosen.run, findings, seconds, out)
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(Exit.CHECK_FAILED)
