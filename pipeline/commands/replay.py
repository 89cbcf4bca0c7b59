"""`listening replay`: a capture as a run of its own, in its own time, faster, or as fast as it goes."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.commands.shared import Json, command_line, out, print_json, with_broker
from pipeline.settings import PREFIX, Settings

if TYPE_CHECKING:
    from producers.capture.replay import Replayed


def replay(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What `listening capture --out` wrote.")],
    to: Annotated[str, typer.Option("--to", metavar="NEWRUN", help="The new run.")],
    speed: Annotated[float | None, typer.Option(metavar="X", help="So many times its own pace; unset: 1.")] = None,
    at_once: Annotated[bool, typer.Option("--at-once", help="As fast as it goes.")] = False,
    as_json: Json = False,
) -> None:
    """Publish a capture into a new run, each record where it lay and dated as it was; again: goes on where it stopped."""
    from producers.capture.manifest import load_manifest
    from producers.capture.replay import replay as publish
    from producers.capture.replay import replaying

    if at_once and speed is not None:
        raise typer.BadParameter("--speed has a pace and --at-once has none: give one of them")
    if speed is not None and not (math.isfinite(speed) and speed > 0):
        raise typer.BadParameter(f"--speed must be more than 0, it is {speed}")
    manifest = load_manifest(folder)
    new = replaying(with_broker(to), to, manifest.partitions)
    console = Console(stderr=True)
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=as_json or not console.is_terminal, transient=True) as bar:
        task = bar.add_task("replaying", total=None)
        done = publish(
            folder,
            manifest,
            new,
            None if at_once else speed or 1.0,
            progress=lambda records, total: bar.update(task, completed=records, total=total),
        )
    steps = look_at(new)
    if as_json:
        named = [{"step": step, "command": command} for step, command in steps]
        figures = {"rate_error": done.rate_error, "records_per_second": round(done.records_per_second)}
        print_json(asdict(done) | figures | {"commands": named})
    else:
        _print(done, steps)


def look_at(new: Settings) -> list[tuple[str, str]]:
    """What can be done with the new run: (what, the command)."""
    theirs = {f"{PREFIX}PARTITIONS": str(new.partitions), f"{PREFIX}APPEND_TIME": "false"}
    asked = [("start it", "up"), ("check it", "verify"), ("see its top artists", "top")]
    return [(step, command_line(f"{command} --run {new.run}", theirs)) for step, command in asked]


def _print(done: "Replayed", steps: list[tuple[str, str]]) -> None:
    out.print(
        f"run {done.run}: {done.records:,} records of {done.source}, {done.ticks:,} of them ticks, replayed to "
        f"{done.partitions} partitions in {done.seconds + done.flush_seconds:.2f} s ({done.records_per_second:,.0f}/s), "
        f"after {done.start_seconds:.1f} s to start"
    )
    if done.rate_error is not None and done.planned_seconds is not None:
        out.print(
            f"  planned {done.planned_seconds:.2f} s from the first to the last, took {done.seconds:.2f} s: "
            f"{done.rate_error:+.2%}"
        )
    if done.compared:
        out.print(f"  {done.compared:,} records were there already and are the same")
    if done.moved:
        out.print(
            f"  {done.moved:,} records lie at other offsets than captured: something before them is not in the capture"
        )
    if done.without_headers:
        out.print(f"  {done.without_headers:,} records have lost their headers, whose names are no UTF-8")
    out.print(f"\nTo look at {done.run}, which is dated by its records' own time:")
    for number, (step, command) in enumerate(steps, start=1):
        out.print(f"  {number}. {step}:")
        out.print(f"     {command}", markup=False, soft_wrap=True)
