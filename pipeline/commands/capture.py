"""`listening capture`: a run's source log, or a range of it, as Parquet files."""

import time
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.progress import progress_bar
from pipeline.commands.shared import Json, Run, out, print_json, with_broker
from pipeline.report import clock


def capture(
    folder: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The folder to be made.")],
    partition: Annotated[int | None, typer.Option(min=0, help="This partition alone.")] = None,
    start: Annotated[int | None, typer.Option("--from", metavar="OFFSET", min=0, help="Its first offset.")] = None,
    end: Annotated[int | None, typer.Option("--to", metavar="OFFSET", min=0, help="The offset after its last.")] = None,
    run: Run = None,
    as_json: Json = False,
) -> None:
    """Write the run's playback-events to files, as far as it reaches now: a Parquet file a partition and a manifest."""
    from producers.capture.capture import Range
    from producers.capture.capture import capture as write

    if partition is None and (start is not None or end is not None):
        raise typer.BadParameter("--from and --to are offsets of one partition: name it with --partition")
    chosen = with_broker(run)
    began = time.monotonic()
    with progress_bar("capturing", as_json=as_json) as progress:
        made = write(chosen, folder, Range(partition, start, end), progress=progress)
    seconds = time.monotonic() - began
    if as_json:
        print_json({"folder": str(folder), "records": made.records, "seconds": seconds} | made.model_dump())
        return
    out.print(
        f"run {made.run}: {made.records:,} records of {len(made.captured)} partitions in {seconds:.1f} s, in {folder}",
        markup=False,
        soft_wrap=True,
    )
    for entry in made.captured:
        absent = entry.end - entry.start - entry.records
        out.print(
            f"  partition {entry.partition}: offsets {entry.start:,} to {entry.end:,}, {entry.records:,} records"
            + (f", {entry.ticks:,} of them ticks" if entry.ticks else "")
            + (f"; {absent:,} offsets hold none, a transaction's" if absent else "")
            + (
                f"; {entry.without_headers:,} without their headers, whose names are no UTF-8"
                if entry.without_headers
                else ""
            )
            + ("" if entry.last_appended_at is None else f"; up to {clock(entry.last_appended_at)}")
        )
    out.print(f"\nTo replay it:\n     listening replay {folder} --to NEWRUN --at-once", markup=False, soft_wrap=True)
