"""`listening export`: the valid events of a run's source log as Parquet, a file a service, by played_at."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.progress import progress_bar
from pipeline.commands.shared import Json, Run, out, print_json, with_broker
from pipeline.errors import ListeningError


def export(
    to: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="A new folder for the files.")],
    run: Run = None,
    as_json: Json = False,
) -> None:
    """Write the run's valid events, copies included, as a Parquet file a service, each by played_at."""
    from producers.merge.export import export as write

    chosen = with_broker(run)
    try:
        with progress_bar("reading", as_json=as_json) as progress:
            done = write(chosen, to, progress=progress)
    except KeyboardInterrupt:
        raise ListeningError(f"Interrupted; {to} was not made.") from None
    if as_json:
        print_json(asdict(done) | {"events_per_second": round(done.events_per_second)})
        return
    events, invalid = sum(done.events.values()), sum(done.invalid.values())
    out.print(
        f"run {done.run}: {events:,} events of {len(done.events):,} services in {done.seconds:.1f} s "
        f"({done.events_per_second:,.0f}/s) in {done.out}"
    )
    for service, name in done.files.items():
        out.print(f"  {done.events[service]:>12,} {name}", markup=False)
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in done.invalid.items())
    out.print(f"  left out: {invalid:,} invalid{f' ({reasons})' if reasons else ''}, {done.ticks:,} ticks")
    if done.absent:
        out.print(f"  {done.absent:,} offsets hold no record")
    if done.deleted:
        out.print(f"  {done.deleted:,} offsets were deleted from the log before: what they held is not here")
