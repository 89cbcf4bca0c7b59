"""`listening replay`: a capture as a run of its own, in its own time, faster, or as fast as it goes."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.progress import progress_bar
from pipeline.commands.shared import Json, command_line, out, print_json, with_broker
from pipeline.commands.steps import Steps, print_steps, steps_as_json, variables_of_copy
from pipeline.settings import Settings

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
    with progress_bar("replaying", as_json=as_json) as progress:
        done = publish(folder, manifest, new, None if at_once else speed or 1.0, progress=progress)
    steps = look_at(new)
    if as_json:
        figures = {"rate_error": done.rate_error, "records_per_second": round(done.records_per_second)}
        print_json(asdict(done) | figures | {"commands": steps_as_json(steps)})
    else:
        _print(done, steps)


def look_at(new: Settings) -> Steps:
    """What can be done with the new run."""
    theirs = variables_of_copy(new)
    asked = [("start it", "up"), ("check it", "verify"), ("see its top artists", "top")]
    return [(step, command_line(f"{command} --run {new.run}", theirs)) for step, command in asked]


def _print(done: "Replayed", steps: Steps) -> None:
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
    print_steps(steps)
