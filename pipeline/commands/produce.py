"""`listening produce`: a scenario into the run, or into a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from pydantic import ValidationError

from pipeline import report, settings
from pipeline.commands.shared import Json, Run, instant, out, print_json, with_broker
from pipeline.errors import Exit

if TYPE_CHECKING:
    from producers.scenarios.model import Scenario

Events = Annotated[int | None, typer.Option(min=1, help="Records to publish, copies included; unset: the scenario's.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of the listeners: the same seed, the same bytes.")]
Speed = Annotated[float | None, typer.Option(help="Publish with the scenario's gaps, divided by this.")]
Realtime = Annotated[bool, typer.Option(help="Let the scenario happen now, at the real clock.")]
Start = Annotated[str | None, typer.Option(metavar="TIME", help="When the scenario begins, ISO 8601 (UTC).")]


def produce(
    scenario: Annotated[str, typer.Option(metavar="NAME|FILE", help="A scenario, see `scenario list`.")] = "demo",
    events: Events = None,
    minutes: Annotated[float | None, typer.Option(help="Tell the scenario in so many minutes of its clock.")] = None,
    seed: Seed = None,
    rate: Annotated[float | None, typer.Option(help="Events a second; unset: as fast as it goes.")] = None,
    speed: Speed = None,
    realtime: Realtime = False,
    wait: Annotated[bool, typer.Option(help="In real time, stay until the last windows can be final.")] = True,
    file: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="An Avro file instead of Kafka.")] = None,
    codec: Annotated[Literal["deflate", "null"], typer.Option(help="Of --out: how its blocks are compressed.")] = "deflate",
    start: Start = None,
    force: Annotated[bool, typer.Option("--force", help="Let --out overwrite what is there.")] = False,
    run: Run = None,
    as_json: Json = False,
) -> None:
    """Publish a scenario into the run, with its ledger of the truth; or write it to an Avro file, with no broker."""
    told = chosen_scenario(scenario, events=events, seed=seed, minutes=minutes)
    pacing = {"--rate": rate is not None, "--speed": speed is not None, "--realtime": realtime}
    given = [name for name, is_given in pacing.items() if is_given]
    if file is not None:
        if given:
            raise typer.BadParameter(f"{given[0]} is about publishing, and --out publishes nothing")
        _write(told, file, codec, start, force=force, run=run, as_json=as_json)
        return
    if start is not None:
        raise typer.BadParameter("--start goes with --out: what is published lies where the run's clock can take it")
    if given not in ([], ["--rate", "--realtime"]) and len(given) > 1:
        raise typer.BadParameter(f"{' and '.join(given)} can't both say how fast it goes")
    if realtime and rate is not None and told.starts is not None:
        raise typer.BadParameter(f"--rate with --realtime would change the length of {told.name}, which is a time of day")
    publish(told, run=run, as_json=as_json, rate=rate, speed=speed, realtime=realtime, wait=wait)


def chosen_scenario(
    name: str, *, events: int | None = None, seed: int | None = None, minutes: float | None = None
) -> "Scenario":
    """The scenario with what the options change in it. Raises ScenarioError, BadParameter."""
    from producers.scenarios.load import load_scenario
    from producers.scenarios.model import Scenario

    told = load_scenario(name)
    if minutes is not None:
        if told.starts is not None:
            raise typer.BadParameter(
                f"--minutes can't change {told.name}: it begins on {told.starts}, and hours are its story"
            )
        told = told.lasting(minutes)
    changes: dict[str, Any] = {"events": events, "seed": seed}
    told = told.model_copy(update={field: value for field, value in changes.items() if value is not None})
    try:
        return Scenario.model_validate(told.model_dump())
    except ValidationError as error:
        detail = error.errors()[0]
        raise typer.BadParameter(f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}") from None


def start_of(told: "Scenario", text: str | None) -> int:
    """Where a scenario begins that isn't published, epoch ms. Raises BadParameter where the option doesn't fit it."""
    from producers.scenarios.clock import MONDAY_MS, WEEK_MS, fixed_start

    begins = instant(text, "--start")
    if begins is None:
        return fixed_start(told)
    if told.weekday_ms is not None and (begins - MONDAY_MS - told.weekday_ms) % WEEK_MS:
        raise typer.BadParameter(f"--start {text}: {told.name} begins on a {told.starts} UTC")
    return begins


def publish(told: "Scenario", *, run: str | None, as_json: bool, **pacing: Any) -> Any:
    """Publish it and print what was done; returns the Produced. Exits with CHECK_FAILED where the broker lacks a record."""
    from producers.produce import produce as publish_scenario
    from producers.scenarios.fit import refuse_unfit

    for option in ("rate", "speed"):
        if (value := pacing.get(option)) is not None and not value > 0:
            raise typer.BadParameter(f"--{option} must be more than 0, it is {value}")
    refuse_unfit(settings.load(run=run), told, realtime=pacing["realtime"])
    chosen = with_broker(run)
    produced = publish_scenario(chosen, told, show_progress=not as_json, **pacing)
    print_json(report.produced_json(produced)) if as_json else report.print_produced(produced, chosen, out)
    if produced.failed or produced.unknown:
        raise typer.Exit(Exit.CHECK_FAILED)
    return produced


def _write(
    told: "Scenario",
    file: Path,
    codec: Literal["deflate", "null"],
    start: str | None,
    *,
    force: bool,
    run: str | None,
    as_json: bool,
) -> None:
    from dataclasses import asdict

    from producers.container import refuse_for_files, write_events
    from producers.world import build_world

    begins, rules = start_of(told, start), settings.load(run=run).rules
    refuse_for_files(told, file, force=force)
    written = write_events(build_world(told), rules, begins, file, codec, force=force, show_progress=not as_json)
    if as_json:
        print_json(asdict(written))
        return
    out.print(f"{written.file}: {written.events:,} events, {written.bytes:,} bytes", markup=False, soft_wrap=True)
    out.print("  " + ", ".join(f"{number:,} {kind}" for kind, number in written.kinds.items()))
    out.print(f"  scenario from {report.clock(written.start)} to {report.clock(written.end)} UTC")
    out.print(f"  ledger: {written.ledger}", markup=False, soft_wrap=True)
