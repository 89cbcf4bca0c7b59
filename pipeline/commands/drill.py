"""`listening drill list|run`: break a running pipeline on purpose, and let independent oracles judge it."""

import os
import platform
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from pipeline import settings
from pipeline.commands.shared import Json, out, print_json
from pipeline.errors import Exit

if TYPE_CHECKING:
    from pipeline.drills.drill import Drill
    from pipeline.drills.told import Result

app = typer.Typer(name="drill", help="Drills: real faults, judged by independent oracles.", no_args_is_help=True)

Names = Annotated[list[str], typer.Argument(metavar="NAME…", help="Drills of the list; or all, faults, controls.")]
GROUPS = ("all", "faults", "controls")


@app.command("list")
def list_drills(as_json: Json = False) -> None:
    """The drills there are, with what each does, and the negative controls."""
    from pipeline.drills.matrix import CONTROLS, FAULTS, SHORT

    if as_json:
        fields = ("number", "name", "title", "fault", "bound", "breach")
        print_json([{field: getattr(drill, field) for field in fields} for drill in (*FAULTS, *CONTROLS, *SHORT)])
        return
    table = Table()
    table.add_column("#", justify="right")
    table.add_column("name", no_wrap=True)
    table.add_column("what is done")
    for drill in FAULTS:
        table.add_row(str(drill.number), drill.name, drill.fault)
    table.add_section()
    for drill in CONTROLS:
        table.add_row("", drill.name, f"{drill.fault}; passes if an oracle says so")
    table.add_section()
    for drill in SHORT:
        table.add_row("", drill.name, drill.fault)
    out.print(table)


@app.command("run")
def run_drills(
    names: Names,
    seed: Annotated[int, typer.Option(min=0, help="Of the load and of all that a drill chooses.")] = 1,
    folder: Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Where the report goes.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the data of drills that passed, too.")] = False,
    as_json: Json = False,
) -> None:
    """Run drills one after the other, each on a broker and workers of its own; exit 0 only if every oracle holds."""
    from pipeline.drills.report import report_json, write_report
    from pipeline.drills.run import run_drill
    from pipeline.drills.shown import print_result, print_results

    chosen = chosen_drills(names)
    started = datetime.now(UTC)
    where = (folder or settings.load().data_dir / "drills" / f"{started:%Y%m%dT%H%M%SZ}").absolute()
    notes = Console(stderr=True, highlight=False)
    notes.print(f"seed {seed}, {len(chosen)} of the drills, report in {where}", soft_wrap=True)
    results: list[Result] = []
    for number, drill in enumerate(chosen, 1):
        began = time.monotonic()

        def progress(line: str, *, name: str = drill.name, began: float = began, number: int = number) -> None:
            seconds = f"{time.monotonic() - began:5.0f} s"
            notes.print(f"[dim]{number}/{len(chosen)} {name} {seconds}[/dim]  {line}", soft_wrap=True)

        data = where / "data" / drill.name
        result = run_drill(drill, seed, data, progress)
        results.append(result)
        if result.passed and not keep:
            shutil.rmtree(data, ignore_errors=True)
        write_report(results, where, seed=seed, machine=machine())
        if not as_json:
            print_result(result, out)
    if as_json:
        print_json(report_json(results, seed=seed, machine=machine()))
    else:
        print_results(results, out, where / "report.html")
    if not all(result.passed for result in results):
        raise typer.Exit(Exit.CHECK_FAILED)


def chosen_drills(names: list[str]) -> "list[Drill]":
    """The drills of these names, each once, in the order of the matrix. Raises BadParameter naming what there is."""
    from pipeline.drills.matrix import CONTROLS, FAULTS, SHORT

    groups = dict(zip(GROUPS, ((*FAULTS, *CONTROLS), FAULTS, CONTROLS), strict=True))
    every = (*SHORT, *groups["all"])
    known = {drill.name: (drill,) for drill in every} | groups
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"there is no drill {name}: {', '.join(known)}")
    wanted = {drill.name for name in names for drill in known[name]}
    return [drill for drill in every if drill.name in wanted]


def machine() -> str:
    """What it ran on, in a few words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return f"{os.cpu_count()} cores, {memory} GiB, {platform.system()}, Python {platform.python_version()}"
