"""`listening repartition`: a run's log under another number of partitions, as a new run, and how to cut over to it."""

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import settings
from pipeline.commands.progress import progress_bar
from pipeline.commands.shared import Json, Run, command_line, out, print_json, with_broker
from pipeline.commands.steps import Steps, print_steps, steps_as_json, variables_of_copy
from pipeline.settings import Settings

if TYPE_CHECKING:
    from producers.replay.repartition import Repartitioned


def repartition(
    to: Annotated[str, typer.Option("--to", metavar="NEWRUN", help="The new run.")],
    partitions: Annotated[int, typer.Option(help="Its number of partitions.")],
    run: Run = None,
    as_json: Json = False,
) -> None:
    """Replay a run's log into a new run with another number of partitions; again: what came since."""
    from producers.replay.repartition import repartition as copy
    from producers.replay.repartition import repartitioned

    new = repartitioned(settings.load(run=run), to, partitions)
    old = with_broker(run)
    with progress_bar("copying", as_json=as_json) as progress:
        done = copy(old, new, progress=progress)
    steps = cut_over(old, new)
    if as_json:
        figures = {"events_per_second": round(done.events_per_second), "cut_over": steps_as_json(steps)}
        print_json(asdict(done) | figures)
    else:
        _print(done, steps)


def cut_over(old: Settings, new: Settings) -> Steps:
    """What remains to be done, in order."""
    theirs = variables_of_copy(new)
    set_now = {name: os.environ[name] for name in theirs if name in os.environ}
    again = command_line(f"repartition --run {old.run} --to {new.run} --partitions {new.partitions}", set_now)
    return [
        (f"stop the producers of {old.run}", ""),
        ("take over what came meanwhile", again),
        (f"stop `listening up --run {old.run}`, then start the new run", command_line(f"up --run {new.run}", theirs)),
        ("check it", command_line(f"verify --run {new.run}", theirs)),
        ("produce into it", command_line(f"produce --run {new.run} --realtime", theirs)),
    ]


def _print(done: "Repartitioned", steps: Steps) -> None:
    out.print(
        f"run {done.run}: {done.events:,} events of {done.source} copied to {done.partitions} partitions in "
        f"{done.seconds:.1f} s ({done.events_per_second:,.0f}/s), {done.copied:,} in all"
    )
    out.print(
        f"  {done.ticks_read:,} ticks read, {done.ticks:,} written to every partition; {done.misrouted:,} misrouted events "
        f"now lie right, {done.poison:,} without a usable key stay invalid"
    )
    if done.compared:
        out.print(f"  {done.compared:,} records were there already and are the same")
    if done.without_headers:
        out.print(f"  {done.without_headers:,} records lost their headers, whose names are no UTF-8")
    if done.absent:
        out.print(
            f"  {done.absent:,} offsets hold no record: a transaction's records are invalid there, their copies are not"
        )
    left_out = f", {done.ledger_left_out:,} rows are of records not copied yet" if done.ledger_left_out else ""
    out.print(f"  {done.artists:,} artists' names; ledger: {done.ledger_rows:,} rows with their new places{left_out}")
    out.print(f"\nTo cut over to {done.run}, which is dated by its producers' clocks from now on:")
    print_steps(steps)
