"""`listening demo`: a fresh run from nothing to a verdict.

start ─► publish 90 minutes with an album release ─► classify drains them ─► verify ─► before and after ─► a story ─► stop
"""

import time

from rich.columns import Columns
from rich.console import Console

from deploy.embedded.supervise import running
from pipeline import report
from pipeline.errors import Exit, ListeningError, SettingsError
from pipeline.metrics import read_total
from pipeline.settings import Settings
from pipeline.store.ask import rows
from pipeline.store.queries import Top, newest_final, story
from pipeline.verify.verdict import Verdict
from pipeline.verify.verify import verify
from producers.produce import Produced, produce
from producers.scenarios.load import load_scenario

_PLACES = 10


def demonstrate(settings: Settings, events: int, seed: int, out: Console, *, as_json: bool = False) -> int:
    """Run the demo, print what happened; the exit code: 0 only if everything that was checked is exact."""
    if not settings.run.startswith("demo"):
        raise SettingsError(
            f"the demo begins by deleting its run, so its name must begin with demo: {settings.run} does not"
        )
    notes = Console(stderr=True, highlight=False)
    began = time.monotonic()

    def progress(line: str) -> None:
        notes.print(f"[dim]{time.monotonic() - began:5.1f} s[/dim]  {line}")

    scenario = load_scenario("demo").model_copy(update={"events": events, "seed": seed})
    with running(settings, progress, fresh=True, held=["classify"]) as stack:
        progress(f"publishing {events:,} events")
        produced = produce(settings, scenario, show_progress=not as_json)
        if produced.interrupted:
            raise ListeningError("the demo was interrupted while it published")
        progress("starting classify, which finds them waiting")
        stack.start_workers(["classify"])
        progress("checking everything against the log and the ledger")
        verdict = verify(settings, timeout=120.0, show_progress=not as_json)
        before = newest_final(settings, _PLACES, produced.release)
        after = newest_final(settings, _PLACES)
        rate = classify_rate(settings)
        event_id = copied_event(settings)
        copies = story(settings, event_id)
        if as_json:
            lists = {"before": before and report.top_json(before), "after": after and report.top_json(after)}
            out.print_json(
                data={
                    "produced": report.produced_json(produced),
                    "verdict": verdict.as_json(),
                    **lists,
                    "classify_events_per_second": rate,
                    "story": {"event_id": event_id, "copies": report.story_json(copies)},
                },
                default=str,
            )
        else:
            report.print_produced(produced, settings, out)
            _print_release(before, after, produced, out)
            verdict.render(out)
            out.print(f"classify: {rate:,.0f} events/s in one process, every outcome acknowledged by the broker")
            report.print_story(event_id, copies, out)
    if not as_json:
        _print_next(settings, produced, out)
    return Exit.OK if verdict.exact and _all_caught(verdict) and not produced.failed else Exit.CHECK_FAILED


def classify_rate(settings: Settings) -> float:
    """Events a second of the classify workers in the time in which they had work; 0 where none worked."""
    busy = read_total(settings.run_dir, "classify", "listening_classify_busy_seconds")
    events = read_total(settings.run_dir, "classify", "listening_events")
    return events / busy if busy else 0.0


def copied_event(settings: Settings) -> str:
    """The id of the counted event with the most copies."""
    (row,) = rows(
        settings,
        """
        SELECT toString(event_id) AS id FROM duplicates FINAL
        WHERE event_id IN (SELECT event_id FROM plays FINAL WHERE outcome = 'accepted')
        GROUP BY event_id ORDER BY count() DESC, event_id LIMIT 1
        """,
    )
    return str(row["id"])


def _all_caught(verdict: Verdict) -> bool:
    """Whether every copy was caught and no original taken for one."""
    truth = verdict.truth
    return truth is not None and truth.precision in (None, 1.0) and all(k.recall in (None, 1.0) for k in truth.kinds)


def _print_release(before: Top | None, after: Top | None, produced: Produced, out: Console) -> None:
    tables = []
    for top, when in ((before, "before"), (after, "after")):
        if top:
            hours = f"{report.clock(top.start_ms)[11:]} to {report.clock(top.end_ms)[11:]} UTC"
            title = f"Top {_PLACES} {when} the release, final\n{hours}"
            tables.append(report.top_table(top, title, produced.hit_artist_id))
    out.print(Columns(tables, padding=(0, 4)))


def _print_next(settings: Settings, produced: Produced, out: Console) -> None:
    run = f"--run {settings.run}"
    minute = report.clock((produced.release or produced.end) + 600_000).replace(" ", "T")
    out.print("\nEverything is stopped, the data is kept. Try next, the first in a terminal of its own:")
    for command in (
        f"up {run}",
        f"top {run} --at {minute} --window 600",
        f'sql {run} "SELECT outcome, count() FROM plays FINAL GROUP BY outcome"',
    ):
        out.print(f"  .venv/bin/listening {command}", markup=False, soft_wrap=True)
