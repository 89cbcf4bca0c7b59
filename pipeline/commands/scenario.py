"""`listening scenario list|show|run`: what there is, what it looks like before anything is sent, and let it happen."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pipeline import report, settings
from pipeline.commands.draw import chart, resampled, sparkline
from pipeline.commands.produce import Events, Realtime, Seed, Speed, Start, chosen_scenario, publish, start_of
from pipeline.commands.shared import Json, Run, out, print_json

if TYPE_CHECKING:
    from producers.curve import Curve
    from producers.world import World

app = typer.Typer(name="scenario", help="Scenarios: list, show and run them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME|FILE", help="A scenario of the list, or a YAML file of your own.")]


@app.command("list")
def list_scenarios(as_json: Json = False) -> None:
    """The scenarios that come with the project."""
    from producers.scenarios.load import load_scenario, scenario_names

    found = [load_scenario(name) for name in scenario_names()]
    if as_json:
        fields = ("name", "title", "about", "starts", "minutes", "events", "speed")
        print_json([{field: getattr(scenario, field) for field in fields} for scenario in found])
        return
    table = Table()
    for heading in ("name", "title", "starts", "length", "records", "at its speed"):
        table.add_column(heading, justify="right" if heading in ("length", "records", "at its speed") else "left")
    for scenario in found:
        wall = f"{scenario.minutes / scenario.speed:.0f} min at {scenario.speed:g}"
        length, records = f"{scenario.minutes:g} min", f"{scenario.events:,}"
        table.add_row(scenario.name, scenario.title, scenario.starts or "", length, records, wall)
    out.print(table)


@app.command()
def show(
    scenario: Name, seed: Seed = None, events: Events = None, start: Start = None, run: Run = None, as_json: Json = False
) -> None:
    """The load curve of a scenario and its records by kind, counted from its script. Sends nothing."""
    from producers.curve import load_curve
    from producers.world import build_world

    told = chosen_scenario(scenario, events=events, seed=seed)
    begins = start_of(told, start)
    world = build_world(told)
    curve = load_curve(world, settings.load(run=run).rules, begins)
    print_json(_as_json(world, curve)) if as_json else _draw(world, curve)


@app.command("run")
def run_scenario(
    scenario: Name,
    speed: Speed = None,
    seed: Seed = None,
    events: Events = None,
    realtime: Realtime = False,
    run: Run = None,
    as_json: Json = False,
) -> None:
    """Publish a scenario at its speed, with its ledger; `listening up` shows what becomes of it."""
    told = chosen_scenario(scenario, events=events, seed=seed)
    if realtime and speed is not None:
        raise typer.BadParameter("--speed and --realtime can't both say how fast it goes")
    pace = None if realtime else told.speed if speed is None else speed
    produced = publish(told, run=run, as_json=as_json, rate=None, speed=pace, realtime=realtime, wait=True)
    if not as_json:
        _print_next(produced, f" --run {run}" if run else "")


def _print_next(produced: Any, run: str) -> None:
    commands = [f"verify{run}", f"dedup{run}"]
    if produced.leads:
        first, last = produced.leads
        ends = f"from {report.clock(first)} to {report.clock(last)} UTC"
        out.print(f"  {produced.hit_artist} should lead every window that ends {ends}")
        commands.insert(0, f"top{run} --at {report.clock(last).replace(' ', 'T')}")
    elif produced.hit_artist:
        out.print(f"  {produced.hit_artist} should lead no window")
    out.print("See it:")
    for command in commands:
        out.print(f"  listening {command}", markup=False, soft_wrap=True)


def _as_json(world: "World", curve: "Curve") -> dict[str, Any]:
    from producers.kinds import Kind

    told, hit = world.scenario, world.hit_artist
    return {
        **told.model_dump(),
        "start": curve.start,
        "releases": world.releases(curve.start),
        "hit_artist_id": hit[0] if hit else None,
        "hit_artist": hit[1] if hit else None,
        "records": {kind.label: curve.count(kind) for kind in Kind},
        "minutes_of_kind": {kind.label: curve.kinds[kind].tolist() for kind in Kind if curve.count(kind)},
        "minutes_of_hit_artist": curve.hit.tolist(),
    }


def _draw(world: "World", curve: "Curve") -> None:
    from producers.kinds import Kind

    told, total = world.scenario, curve.total
    end = curve.start + told.length_ms
    out.print(f"[bold]{told.title or told.name}[/bold]")
    out.print(told.about.strip(), markup=False)
    out.print()
    bars = resampled(total.tolist())
    peak = int(max(bars))
    for row, line in enumerate(chart(bars)):
        out.print(f"{f'{peak:,}' if row == 0 else '':>18} {line}", markup=False)
    begin, until = (report.clock(instant)[5:16] for instant in (curve.start, end))
    out.print(f"{'records a minute':>18} {begin}{until:>{max(len(bars) - len(begin), 12)}} UTC", markup=False)
    for kind in Kind:
        if kind is not Kind.PLAY and curve.count(kind):
            out.print(f"{kind.label:>18} {sparkline(resampled(curve.kinds[kind].tolist()))}", markup=False)
    if world.hit_artist:
        plays = resampled(curve.kinds[Kind.PLAY].tolist())
        shares = [hit / max(some, 1e-9) for hit, some in zip(resampled(curve.hit.tolist()), plays, strict=True)]
        out.print(f"{'share of the hit':>18} {sparkline(shares)} up to {max(shares):.0%}", markup=False)
        out.print(f"{'':>18} {world.hit_artist[1]}", markup=False)
    out.print()
    kinds = ", ".join(f"{curve.count(kind):,} {kind.label}" for kind in Kind if curve.count(kind))
    out.print(f"{int(total.sum()):,} records: {kinds}", markup=False)
    for instant, countries in world.releases(curve.start).items():
        out.print(f"out at {report.clock(instant)} UTC in {', '.join(countries)}", markup=False)
    wall = told.minutes / told.speed
    rate = int(total.sum()) / (wall * 60)
    out.print(
        f"{told.minutes:g} minutes of its clock; {wall:.1f} minutes at its speed of {told.speed:g}, {rate:,.0f} records/s"
    )
