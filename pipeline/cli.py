"""`listening`: the commands. Progress goes to stderr, results to stdout; exit codes are pipeline.errors.Exit."""

import sys
from typing import Annotated

import typer

from pipeline import report, settings
from pipeline.commands import (
    capture,
    dedup,
    dlq,
    doctor,
    drill,
    export,
    merge,
    produce,
    repartition,
    replay,
    scenario,
    schemas,
    storage,
    tick,
)
from pipeline.commands.shared import Json, Run, instant, out, print_json, with_broker
from pipeline.errors import Exit, ListeningError

START, EXPLORE, CHECK, TOOLS = "Start", "Explore", "Check", "Tools"

app = typer.Typer(
    name="listening",
    help="Playback events through Kafka, Faust and ClickHouse: exactly-once dedup and sliding-window top artists.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.command(rich_help_panel=START)
def up(run: Run = None, as_json: Json = False) -> None:
    """Run broker, classify, rank and store until Ctrl-C."""
    from deploy.embedded.supervise import foreground

    foreground(settings.load(run=run), as_json=as_json)


@app.command(rich_help_panel=START)
def demo(
    events: Annotated[int, typer.Option(min=1000, help="Events to publish, copies included.")] = 500_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the listeners.")] = 1,
    run: Run = "demo",
    as_json: Json = False,
) -> None:
    """90 minutes with an album release through a fresh run, checked against the truth."""
    from pipeline.demo import demonstrate

    raise typer.Exit(demonstrate(settings.load(run=run), events, seed, out, as_json=as_json))


@app.command(rich_help_panel=EXPLORE)
def top(
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=1_000_000, help="How many artists.")] = 10,
    window: Annotated[int | None, typer.Option(min=1, help="Length of the window, seconds.")] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="End of the window, ISO 8601 (UTC).")] = None,
    run: Run = None,
    as_json: Json = False,
) -> None:
    """The top artists of any window that ends at any instant; by default at the run's watermark."""
    from pipeline.store.queries import top as query

    chosen = settings.load(run=run)
    found = query(chosen, k, window or chosen.window_seconds, instant(at, "--at"))
    print_json(report.top_json(found)) if as_json else report.print_top(found, out)


@app.command(rich_help_panel=EXPLORE)
def sql(
    query: Annotated[str | None, typer.Argument(help="One SELECT.", show_default=False)] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the run's tables and columns instead.")] = False,
    run: Run = None,
    as_json: Json = False,
) -> None:
    """Ask ClickHouse: reading only, within the run's tables, with limits."""
    from pipeline.store import ask

    chosen = settings.load(run=run)
    if schema:
        tables = ask.schema(chosen)
        print_json(tables) if as_json else report.print_schema(tables, out)
    elif query is None:
        raise typer.BadParameter("give one SELECT, or --schema for the tables and columns there are")
    else:
        table = ask.sql(chosen, query)
        print_json(report.readable_rows(table)) if as_json else report.print_table(table, out)


@app.command(rich_help_panel=CHECK)
def verify(
    timeout: Annotated[float, typer.Option(min=1, help="How long to wait for the store, seconds.")] = 120.0,
    run: Run = None,
    as_json: Json = False,
) -> None:
    """Recompute everything from the log, independently, and compare with the store to the last row."""
    from pipeline.verify.verify import verify as check

    verdict = check(with_broker(run), timeout=timeout, show_progress=not as_json)
    print_json(verdict.as_json()) if as_json else verdict.render(out)
    if not verdict.exact:
        raise typer.Exit(Exit.CHECK_FAILED)


@app.command("settings", rich_help_panel=TOOLS)
def show_settings(run: Run = None, as_json: Json = False) -> None:
    """Every LISTENING_ variable: its value, default, meaning and where the value comes from."""
    entries = report.settings_entries(settings.load(run=run), {"run": run} if run else {})
    print_json(entries) if as_json else report.print_settings(entries, out)


@app.command(rich_help_panel=TOOLS)
def delete(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run to delete.")],
    yes: Annotated[
        bool, typer.Option("--yes", help="Really: its topics, groups and data folder are gone for good.")
    ] = False,
) -> None:
    """Delete a run: its topics, groups, and its folder with the embedded store and the ledgers."""
    from pipeline.admin import delete_run

    if not yes:
        folder = settings.load(run=run).run_dir
        raise ListeningError(f"this would delete the topics of {run} and {folder}: say --yes if you mean it")
    delete_run(with_broker(run))
    print(f"run {run} is deleted", file=sys.stderr)


app.command("produce", rich_help_panel=START)(produce.produce)
app.add_typer(scenario.app, rich_help_panel=START)
app.command("tick", rich_help_panel=START)(tick.tick)
app.add_typer(dedup.app, rich_help_panel=EXPLORE)
app.command("story", rich_help_panel=EXPLORE)(dedup.event)
app.add_typer(dlq.app, rich_help_panel=EXPLORE)
app.add_typer(storage.app, rich_help_panel=EXPLORE)
app.command("doctor", rich_help_panel=CHECK)(doctor.doctor)
app.add_typer(drill.app, rich_help_panel=CHECK)
app.add_typer(schemas.app, rich_help_panel=TOOLS)
app.command("repartition", rich_help_panel=TOOLS)(repartition.repartition)
app.command("export", rich_help_panel=EXPLORE)(export.export)
app.command("merge", rich_help_panel=EXPLORE)(merge.merge)
app.command("capture", rich_help_panel=TOOLS)(capture.capture)
app.command("replay", rich_help_panel=TOOLS)(replay.replay)


def main() -> None:
    """The console script: a user's mistake is one sentence on stderr, never a traceback."""
    try:
        app()
    except ListeningError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:
        raise SystemExit(Exit.OK) from None


if __name__ == "__main__":
    main()
