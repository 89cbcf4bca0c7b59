"""`listening merge`: files that are sorted, such as those of `listening export`, into one."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

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

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} rows"), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console, disable=as_json or not console.is_terminal, transient=True) as bar:
            task = bar.add_task("merging", total=None)
            done = write(files, to, by, tolerate, progress=lambda rows: bar.update(task, completed=rows))
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
