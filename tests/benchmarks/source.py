"""The topic that everybody reads: events in one log per partition, their truth in a ledger, ticks behind them all.

scenario ─► ledger (unknown) ─► events, dated by played_at ─► flush ─► ledger (answered) ─► … ─► one tick
"""

import time
from collections.abc import Callable
from itertools import pairwise

import schemas
from pipeline.admin import ensure_topics
from pipeline.settings import Settings
from producers.columns import height
from producers.encode import encode_columns, encode_keys
from producers.interrupt import Interrupt
from producers.ledger import Ledger
from producers.publish.events import EventPublisher, Outgoing
from producers.publish.ticks import Ticker
from producers.scenarios.clock import closing_clock, scenario_span
from producers.scenarios.model import Scenario
from producers.scenarios.parts import DoubleSends, Duplicates, Lateness, Retries
from producers.world import build_world

MINUTES = 60


def scenario_of(events: int) -> Scenario:
    """An hour of listening: 5% of all records are retried at once, 5% are sent again by the client, seconds to minutes
    later. Nothing is late: what a peer would count and we would not is no measure of speed."""
    return Scenario(
        name="bench",
        minutes=MINUTES,
        events=events,
        lateness=Lateness(late=0),
        duplicates=Duplicates(
            producer_retry=Retries(share=0.05), client_double_send=DoubleSends(share=0.05, reconnecting=0)
        ),
    )


def publish(settings: Settings, events: int, progress: Callable[[str], None]) -> None:
    """Publish the scenario, each event dated by its played_at, which is the time that the peers go by. Ticks lie behind all
    events, since a peer has no use for them. Raises UnavailableError."""
    scenario, rules = scenario_of(events), settings.rules
    start, end = scenario_span(scenario, rules, time.time_ns() // 1_000_000)
    ensure_topics(settings)
    schema_id = schemas.schema_id(schemas.EVENTS_SUBJECT, 1)
    ledger = Ledger(settings.ledger_dir / "bench.parquet")
    done, said = 0, time.monotonic()
    with Interrupt() as interrupt:
        publisher = EventPublisher(settings, interrupt)
        for rows in build_world(scenario).records(rules, start):
            if not (count := height(rows)):
                continue
            answers = ledger.begin(rows)
            buffer, bounds = encode_columns(rows, schema_id=schema_id)
            values: list[bytes | None] = [buffer[begin:past] for begin, past in pairwise(bounds)]
            outgoing = Outgoing(encode_keys(rows["user_id"]), values, [-1] * count, rows["played_at"].tolist())
            publisher.send(outgoing, count, answers)
            publisher.flush()
            ledger.end(rows, answers)
            done += count
            if time.monotonic() - said > 10:
                said = time.monotonic()
                progress(f"  {done:,} of {events:,} events are published")
        ledger.close()
        Ticker(settings, interrupt).tick(closing_clock(end, rules))
    if ledger.counts.get("acknowledged") != events:
        raise RuntimeError(f"{ledger.counts} instead of {events} acknowledged events")
