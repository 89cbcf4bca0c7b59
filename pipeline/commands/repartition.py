"""`listening repartition`: a run's log under another number of partitions, as a new run, and how to cut over to it."""

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline import settings
from pipeline.commands.shared import Json, Run, command_line, out, print_json, with_broker
from pipeline.settings import PREFIX, Settings

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
    console = Console(stderr=True)
    columns = (TextColumn("copying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=as_json or not console.is_terminal, transient=True) as bar:
        task = bar.add_task("copying", total=None)
        done = copy(old, new, progress=lambda offsets, total: bar.update(task, completed=offsets, total=total))
    commands = cut_over(old, new)
    if as_json:
        print_json(_as_json(done, commands))
    else:
        _print(done, commands)


def cut_over(old: Settings, new: Settings) -> list[tuple[str, str]]:
    """What remains to be done, in order: (what, the command or nothing)."""
    theirs = {f"{PREFIX}PARTITIONS": str(new.partitions), f"{PREFIX}APPEND_TIME": "false"}
    set_now = {name: os.environ[name] for name in theirs if name in os.environ}
    again = command_line(f"repartition --run {old.run} --to {new.run} --partitions {new.partitions}", set_now)
    return [
        (f"stop the producers of {old.run}", ""),
        ("take over what came meanwhile", again),
        (f"stop `listening up --run {old.run}`, then start the new run", command_line(f"up --run {new.run}", theirs)),
        ("check it", command_line(f"verify --run {new.run}", theirs)),
        ("produce into it", command_line(f"produce --run {new.run} --realtime", theirs)),
    ]


def _as_json(done: "Repartitioned", commands: list[tuple[str, str]]) -> dict[str, Any]:
    steps = [{"step": step, "command": command or None} for step, command in commands]
    return asdict(done) | {"events_per_second": round(done.events_per_second), "cut_over": steps}


def _print(done: "Repartitioned", commands: list[tuple[str, str]]) -> None:
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
    for number, (step, command) in enumerate(commands, start=1):
        out.print(f"  {number}. {step}" + (":" if command else ""))
        if command:
            out.print(f"     {command}", markup=False, soft_wrap=True)
