"""`listening produce`: a scenario into a run, with its ledger."""

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import schemas
from pipeline.admin import ensure_topics
from pipeline.registry.of_run import id_of_version_1, open_registry, subject_of
from pipeline.settings import Settings
from producers.columns import Columns, height
from producers.interrupt import Interrupt
from producers.kinds import Kind
from producers.leading import Leading
from producers.ledger import Ledger, Status
from producers.performance import Performance
from producers.progress import ProgressBar
from producers.publish.artists import publish_artists
from producers.publish.guard import refuse_another_clock
from producers.publish.pace import AtOnce, AtRate, AtSpeed, Pace, RealTime, now_ms
from producers.scenarios.clock import closing_clock, scenario_span
from producers.scenarios.fit import refuse_unfit
from producers.scenarios.model import Scenario
from producers.world import build_world

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
    releases: dict[int, list[str]]
    """Instant → countries in which an album comes out then."""
    release: int | None
    """The first of them."""
    hit_artist_id: int | None
    """The artist whom the scenario is about."""
    hit_artist: str | None
    leads: tuple[int, int] | None
    """The ends of the run's windows, from the first to the last, that this artist leads if all that was sent counts once;
    None where it leads none, or the world is too large to be counted."""
    closed: bool
    """The closing tick was written: as far as this producer goes, its last windows become final."""
    interrupted: bool
    """Ctrl-C ended it; the ledger holds what was sent until then."""

    @property
    def events_per_second(self) -> float:
        return self.published / self.seconds if self.seconds else 0.0


def produce(
    settings: Settings,
    scenario: Scenario,
    *,
    rate: float | None = None,
    speed: float | None = None,
    realtime: bool = False,
    show_progress: bool = False,
    wait: bool = True,
) -> Produced:
    """Publish a scenario into the run: topics, artists, events with ticks, ledger.

    `rate`: events a second; `speed`: the scenario's own gaps divided by it; None: as fast as it goes. `realtime`: the
    scenario's clock is the real one from now on; the length of one that may begin at any time then follows from rate
    (DEFAULT_RATE) and events. `wait` (real time only): stay a grace and two panes longer, until the last windows can be
    final. Ctrl-C while it publishes ends it in order, see `Produced.interrupted`; before that it raises KeyboardInterrupt.
    Raises RefusedScenarioError and ClockError before anything is published, the latter where the clock would begin in the
    run's past; RefusedError for topics that differ, UnavailableError where the broker or the schema registry doesn't answer.
    """
    refuse_unfit(settings, scenario, realtime=realtime)
    with Interrupt() as interrupt:
        ensure_topics(settings)
        schema_id = id_of_version_1(open_registry(settings), subject_of(settings, schemas.EVENTS_SUBJECT))
        refuse_another_clock(settings, _span(scenario, settings, realtime=realtime)[0])
        if realtime and scenario.starts is None:
            scenario = scenario.lasting(max(scenario.events / (rate or DEFAULT_RATE) / 60, SHORTEST_MINUTES))
        world = build_world(scenario)
        publish_artists(settings, world.catalogue, interrupt)
        start, end = _span(scenario, settings, realtime=realtime)  # real time has gone on meanwhile

        ledger = Ledger(settings.ledger_dir / f"{now_ms()}-{scenario.name}.parquet")
        told = world.hit_artist is not None and Leading.is_told(scenario.artists, scenario.length_ms)
        leading = Leading(scenario.artists, start, end, settings.rules) if told else None
        closed = interrupted = False
        began, seconds = time.monotonic(), 0.0
        try:
            with ProgressBar(scenario.events, wanted=show_progress) as bar:
                pace = _pace(start, rate=rate, speed=speed, realtime=realtime)
                performance = Performance(settings, ledger, pace, bar, interrupt, start, schema_id)
                try:
                    performance.run(_watched(world.records(settings.rules, start), leading), end)
                finally:
                    seconds = time.monotonic() - began
            closed = _close(performance, closing_clock(end, settings.rules), realtime=realtime, wait=wait)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            ledger.close()
    counts, releases, hit = ledger.counts, world.releases(start), world.hit_artist
    return Produced(
        published=sum(counts.get(kind.label, 0) for kind in Kind),
        acknowledged=counts.get(Status.ACKNOWLEDGED.label, 0),
        failed=counts.get(Status.FAILED.label, 0),
        unknown=counts.get(Status.UNKNOWN.label, 0),
        kinds={kind.label: counts[kind.label] for kind in Kind if counts.get(kind.label)},
        seconds=seconds,
        ledger=ledger.path,
        start=start,
        end=end,
        releases=releases,
        release=min(releases, default=None),
        hit_artist_id=hit[0] if hit else None,
        hit_artist=hit[1] if hit else None,
        leads=leading.windows(hit[0], settings.window_seconds * 1000) if leading and hit else None,
        closed=closed,
        interrupted=interrupted,
    )


def _pace(start: int, *, rate: float | None, speed: float | None, realtime: bool) -> Pace:
    if realtime:
        return RealTime()
    if speed:
        return AtSpeed(speed, start)
    return AtRate(rate) if rate else AtOnce()


def _watched(steps: Iterable[Columns], leading: Leading | None) -> Iterator[Columns]:
    for records in steps:
        if leading and height(records):
            leading.add(records)
        yield records


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
