"""`listening produce`: a scenario into a run, with its ledger."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import schemas
from pipeline.admin import ensure_topics
from pipeline.registry.of_run import id_of_version_1, open_registry, subject_of
from pipeline.rules import Rules
from pipeline.settings import Settings
from producers.catalogue.artists import build_catalogue
from producers.interrupt import Interrupt
from producers.ledger import Ledger, Status
from producers.listeners.people import build_people
from producers.performance import Performance
from producers.progress import ProgressBar
from producers.publish.artists import publish_artists
from producers.publish.guard import refuse_another_clock
from producers.publish.pace import AtOnce, AtRate, Pace, RealTime, now_ms
from producers.scenario import Scenario
from producers.script import Kind, script

DEFAULT_RATE = 500.0
"""Events a second of a scenario in real time."""
SHORTEST_MINUTES = 1 / 60


@dataclass(frozen=True, slots=True)
class Produced:
    """What a producing session did. Instants are epoch milliseconds of the scenario's clock."""

    published: int
    """Records handed to the producer: acknowledged + failed + unknown, and the sum of `kinds`."""
    acknowledged: int
    failed: int
    unknown: int
    kinds: dict[str, int]
    seconds: float
    """From the first event to the last answer."""
    ledger: Path
    start: int
    end: int
    release: int | None
    release_artist_id: int
    release_artist: str
    closed: bool
    """The closing tick was written: as far as this producer goes, its last windows become final."""
    interrupted: bool
    """Ctrl-C ended it; the ledger holds what was sent until then."""

    @property
    def events_per_second(self) -> float:
        return self.published / self.seconds if self.seconds else 0.0


def scenario_span(scenario: Scenario, rules: Rules, now: int) -> tuple[int, int]:
    """Start and end (epoch ms) of a scenario that has just happened: its closing tick is not ahead of `now`."""
    end = (now - rules.grace_ms - rules.pane_ms) // rules.pane_ms * rules.pane_ms
    return end - scenario.length_ms, end


def closing_clock(end: int, rules: Rules) -> int:
    """The instant whose tick makes every window final that an event before `end` can be in."""
    last_pane = -(-end // rules.pane_ms) * rules.pane_ms
    return last_pane + rules.grace_ms + rules.pane_ms


def produce(
    settings: Settings,
    scenario: Scenario,
    *,
    rate: float | None = None,
    realtime: bool = False,
    show_progress: bool = False,
    wait: bool = True,
) -> Produced:
    """Publish a scenario into the run: topics, artists, events with ticks, ledger.

    `rate`: events a second; None: as fast as it goes (in real time: DEFAULT_RATE). `realtime`: the scenario's clock is the
    real one from now on, and its length follows from rate and events. `wait` (real time only): stay a grace and two panes
    longer, until the last windows can be final. Ctrl-C while it publishes ends it in
    order, see `Produced.interrupted`; before that it raises KeyboardInterrupt.
    Raises ClockError before anything is published where the clock would begin in the run's past, RefusedError for topics
    that differ, UnavailableError where the broker or the schema registry doesn't answer.
    """
    with Interrupt() as interrupt:
        ensure_topics(settings)
        schema_id = id_of_version_1(open_registry(settings), subject_of(settings, schemas.EVENTS_SUBJECT))
        refuse_another_clock(settings, _span(scenario, settings, realtime=realtime)[0])
        catalogue, people = build_catalogue(scenario.artists, scenario.seed), build_people(scenario.users, scenario.seed)
        publish_artists(settings, catalogue, interrupt)
        if realtime:
            scenario = scenario.lasting(max(scenario.events / (rate or DEFAULT_RATE) / 60, SHORTEST_MINUTES))
        start, end = _span(scenario, settings, realtime=realtime)  # real time has gone on meanwhile
        pace: Pace = RealTime() if realtime else AtRate(rate) if rate else AtOnce()

        ledger = Ledger(settings.ledger_dir / f"{now_ms()}-{scenario.name}.parquet")
        closed = interrupted = False
        began, seconds = time.monotonic(), 0.0
        try:
            with ProgressBar(scenario.events, wanted=show_progress) as bar:
                performance = Performance(settings, ledger, pace, bar, interrupt, start, schema_id)
                try:
                    performance.run(script(scenario, catalogue, people, settings.rules, start), end)
                finally:
                    seconds = time.monotonic() - began
            closed = _close(performance, closing_clock(end, settings.rules), realtime=realtime, wait=wait)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            ledger.close()
    counts = ledger.counts
    return Produced(
        published=sum(counts.get(kind.label, 0) for kind in Kind),
        acknowledged=counts.get(Status.ACKNOWLEDGED.label, 0),
        failed=counts.get(Status.FAILED.label, 0),
        unknown=counts.get(Status.UNKNOWN.label, 0),
        kinds={kind.label: counts.get(kind.label, 0) for kind in Kind},
        seconds=seconds,
        ledger=ledger.path,
        start=start,
        end=end,
        release=None if scenario.release_ms is None else start + scenario.release_ms,
        release_artist_id=catalogue.release.artist_id,
        release_artist=catalogue.release.name,
        closed=closed,
        interrupted=interrupted,
    )


def _span(scenario: Scenario, settings: Settings, *, realtime: bool) -> tuple[int, int]:
    """Start and end of the scenario's clock if it began now."""
    now = now_ms()
    return (now, now + scenario.length_ms) if realtime else scenario_span(scenario, settings.rules, now)


def _close(performance: Performance, clock: int, *, realtime: bool, wait: bool) -> bool:
    """Let the last windows become final; in real time that takes until the clock is there, and Ctrl-C leaves it."""
    if not realtime:
        performance.close(min(clock, now_ms()))
        return True
    if not wait:
        return False
    left = max(0.0, (clock - now_ms()) / 1000)
    print(f"All is sent; waiting {left:.0f} s until the last windows can be final (Ctrl-C leaves at once).", file=sys.stderr)
    try:
        performance.tick_until(clock)
    except KeyboardInterrupt:
        return False
    return True
