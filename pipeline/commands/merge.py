"""`listening merge`: files that are sorted, such as those of `listening export`, into one."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.progress import row_counter
from pipeline.commands.shared import Json, out, print_json
from pipeline.errors import ListeningError


def merge(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Parquet files, each sorted.", show_default=False)],
    to: Annotated[Path, typer.Option("--out", metavar="FILE", help="The merged file; replaced if it is there.")],
    by: Annotated[str, typer.Option("--by", metavar="COLUMN", help="What the files are sorted by.")] = "played_at",
    tolerate: Annotated[
        float, typer.Option(min=0, max=86_400, help="Seconds that a row may lie behind one before it in its file.")
    ] = 0.0,
    as_json: Json = False,
) -> None:
    """Merge sorted files in little memory; equal keys stay in the order of the files, then of their rows."""
    from producers.merge.merge import merge as write

    try:
        with row_counter("merging", as_json=as_json) as progress:
            done = write(files, to, by, tolerate, progress=progress)
    except KeyboardInterrupt:
        raise ListeningError(f"Interrupted; {to} is as it was.") from None
    if as_json:
        print_json(asdict(done) | {"rows_per_second": round(done.rows_per_second)})
        return
    again = f", in {done.passes} passes" if done.passes > 1 else ""
    out.print(
        f"{done.rows:,} rows of {done.files:,} files by {by} in {done.seconds:.1f} s ({done.rows_per_second:,.0f}/s) "
        f"in {done.out}{again}"
    )
