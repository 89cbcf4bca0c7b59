"""`listening dedup [summary|sweep|event]`: what deduplication did to a run, and what other settings would have done."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Annotated

import typer

from pipeline import report, settings
from pipeline.commands.progress import progress_bar
from pipeline.commands.shared import Json, Run, out, print_json, with_broker
from pipeline.errors import ListeningError

app = typer.Typer(
    name="dedup", help="Which copies there were, what caught them, and what else would.", invoke_without_command=True
)

TOLERANCES = (3, 5, 10, 15, 21, 30, 45, 60, 90, 120)
"""Seconds; two services report one listen 4 to 54 s apart, median 21 [ListenBrainz #201]."""
HORIZONS = (900, 1_800, 3_600, 7_200, 14_400, 28_800)


@app.callback()
def default(context: typer.Context, run: Run = None, as_json: Json = False) -> None:
    if context.invoked_subcommand is None:
        summary(run, as_json)


@app.command()
def summary(run: Run = None, as_json: Json = False) -> None:
    """Which layer caught which kind of copy, how far apart they were, and who sends them."""
    from pipeline.inspector.summary import summarise
    from pipeline.inspector.view import print_summary, summary_json

    found = summarise(settings.load(run=run))
    print_json(summary_json(found)) if as_json else print_summary(found, out)


@app.command()
def sweep(
    tolerance: Annotated[
        str | None, typer.Option(metavar="SECONDS,…", help="Tolerances of the near-duplicate rule.")
    ] = None,
    horizon: Annotated[str | None, typer.Option(metavar="SECONDS,…", help="Dedup horizons.")] = None,
    run: Run = None,
    as_json: Json = False,
) -> None:
    """Decide the run's log again under other tolerances and horizons, and judge each by the ledger."""
    from pipeline.inspector.sweep import horizons, read_log, tolerances
    from pipeline.inspector.view import print_horizons, print_tolerances
    from pipeline.verify.ledger import load

    chosen = settings.load(run=run)
    near = _seconds("--tolerance", tolerance, () if horizon else TOLERANCES, chosen.near_tolerance_seconds)
    long = _seconds("--horizon", horizon, () if tolerance else HORIZONS, chosen.horizon_seconds)
    # Before the log is read: a value that can't be is refused at once.
    near_rules = [replace(chosen.rules, near_duplicates="mark", near_tolerance_ms=value * 1000) for value in near]
    horizon_rules = [replace(chosen.rules, near_duplicates="off", horizon_ms=value * 1000) for value in long]
    with_broker(run)
    found = load(chosen.ledger_dir)
    ledger = found[0] if found else None
    with progress_bar("reading the log", as_json=as_json) as moved:
        logs = read_log(chosen, moved)
    with progress_bar("deciding it again", as_json=as_json) as moved:
        steps = _steps(len(near) + len(long), moved)
        by_tolerance = tolerances(logs, ledger, (rules for rules in near_rules if next(steps)))
        by_horizon = horizons(logs, ledger, (rules for rules in horizon_rules if next(steps)))
    if as_json:
        print_json({"tolerances": [asdict(one) for one in by_tolerance], "horizons": [asdict(one) for one in by_horizon]})
        return
    if by_tolerance:
        print_tolerances(by_tolerance, chosen.near_tolerance_seconds, out)
    if by_horizon:
        print_horizons(by_horizon, chosen.horizon_seconds, out)


@app.command()
def event(
    event_id: Annotated[str, typer.Argument(help="The event's UUID.")], run: Run = None, as_json: Json = False
) -> None:
    """Where the copies of one event lie, other services' reports of its listen among them, and what became of each."""
    from pipeline.store.story import story

    copies = story(settings.load(run=run), event_id)
    if not copies:
        raise ListeningError(f"no stored event has the id {event_id} (skipped ones are only counted)")
    print_json(report.story_json(copies)) if as_json else report.print_story(event_id, copies, out)


def _seconds(option: str, text: str | None, default: Sequence[int], mine: int) -> list[int]:
    """An option's whole numbers, ascending, the run's own among them. Raises BadParameter."""
    try:
        chosen = [int(part) for part in text.split(",")] if text else list(default)
    except ValueError:
        raise typer.BadParameter(f"{option} {text} must be whole seconds with commas between, such as 10,30,60") from None
    if any(value < 1 for value in chosen):
        raise typer.BadParameter(f"{option} {text}: each must be at least 1")
    return sorted({*chosen, mine}) if chosen else []


def _steps(total: int, moved: Callable[[int, int], None]) -> Iterator[bool]:
    for done in range(total):
        moved(done, total)
        yield True
