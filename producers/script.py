"""The script of a scenario: every record that is published, in the order of publication, some minutes at a time.

plays ─► sent (soon, late, when a connection is back) ─► copies by kind, poison ─► ordered by when they leave ─► retried
Reads no clock: the same scenario and start give the same records.

Memory: what is made and not yet due stays as columns, about 170 bytes a record: the plays that an upstream replay will send
again (from their minute to the replay's), and the uploads of listeners who are offline.
"""

from collections.abc import Iterator

import numpy as np

from pipeline.rules import Rules
from producers.catalogue.artists import Catalogue
from producers.columns import Array, Columns, height
from producers.faults.copies import cross_service, double_sends, upstream_replay, with_retries
from producers.faults.lateness import Sending
from producers.faults.marks import some, times
from producers.faults.poison import NO_POISON, poison
from producers.ids import uuid7
from producers.kinds import Kind
from producers.listeners.people import People
from producers.listeners.sessions import Listeners
from producers.plan import STEP_MS, plan
from producers.scenarios.demand import ScenarioDemand, habits_of
from producers.scenarios.model import Scenario
from producers.waiting import Waiting

BLOCK_MS = 32 * STEP_MS
SCAFFOLDING = ("user", "track", "skew_ms")
"""Columns that nobody needs once a play has its ids."""


def script(scenario: Scenario, catalogue: Catalogue, people: People, rules: Rules, start: int) -> Iterator[Columns]:
    """Records ordered by true_sent_at, `scenario.events` in all, with true_sent_at in [start, start + scenario.length_ms).

    Columns: kind (of Kind), event_id (uint8[n, 16]), artist_id, the event's other numbers, and indices into PLATFORMS,
    REASONS, SERVICES and COUNTRIES. played_at and sent_at are what the client's clock says, true_sent_at is when the record
    leaves; all epoch ms. look_alike (of LOOK_ALIKES), poison (of Poison, NO_POISON: none), original_id (uint8[n, 16]: of
    cross-service reports the id of the play that they report again, else zeros).
    """
    end, seed, duplicates = start + scenario.length_ms, scenario.seed, scenario.duplicates
    demand = ScenarioDemand(scenario, catalogue)
    planned = plan(scenario, people, demand, start)
    listeners = Listeners(seed, catalogue, people, start, demand, habits_of(scenario))
    listeners.settle(planned.plays[0] / (planned.steps[0][1] - planned.steps[0][0]))
    sending, waiting = Sending(scenario.lateness, rules, end, seed), Waiting(start, BLOCK_MS)
    # A fault draws from a stream of its own: with or without it, all others do the same.
    ids, doubled, retried, replayed, reported, poisoned = (np.random.default_rng([seed, 22 + n]) for n in range(6))
    # Another service may report a listen that much earlier.
    hold = round(duplicates.cross_service.apart_s[1] * 1000) if duplicates.cross_service.share else 0
    for step, (begin, until) in enumerate(planned.steps):
        plays = sending.send(listeners.plays(begin, until, int(planned.plays[step])))
        plays = _identified(plays, catalogue, people, ids)
        wanted = {kind: int(numbers[step]) for kind, numbers in planned.copies.items()}
        plays["again"] = times(height(plays), wanted[Kind.PRODUCER_RETRY], retried)
        waiting.add(plays)
        if count := wanted[Kind.CLIENT_DOUBLE_SEND]:
            again = some(plays, count, doubled)
            waiting.add(double_sends(again, duplicates.client_double_send, rules.horizon_ms, end, doubled))
        if count := wanted[Kind.CROSS_SERVICE]:
            again = some(plays, count, reported)
            waiting.add(cross_service(again, duplicates.cross_service, start, end, reported))
        if count := wanted[Kind.POISON]:
            waiting.add(poison(some(plays, count, poisoned), scenario.poison.kinds, poisoned))
        for replay, numbers in zip(duplicates.upstream_replay, planned.replays, strict=True):
            if count := int(numbers[step]):
                waiting.add(upstream_replay(some(plays, count, replayed), replay, start, end))
        yield with_retries(waiting.until(end if until == end else until - hold))


def _identified(plays: Columns, catalogue: Catalogue, people: People, rng: np.random.Generator) -> Columns:
    """With ids (a UUIDv7 of played_at), what the catalogue and the people say, and the instants by the client's clock."""
    track, count = plays["track"], height(plays)
    played_at = plays["played_at"] + plays["skew_ms"]
    return {name: values for name, values in plays.items() if name not in SCAFFOLDING} | {
        "event_id": uuid7(played_at, rng),
        "user_id": plays["user"] + 1,
        "artist_id": catalogue.artist_ids[rank_of(catalogue, track)],
        "track_id": track + 1,
        "album_id": catalogue.album_ids[track],
        "country": people.country[plays["user"]],
        "played_at": played_at,
        "sent_at": plays["true_sent_at"] + plays["skew_ms"],
        "kind": np.full(count, Kind.PLAY, np.int8),
        "poison": np.full(count, NO_POISON, np.int8),
        "original_id": np.zeros((count, 16), np.uint8),
    }


def rank_of(catalogue: Catalogue, track: Array | int) -> Array:
    """int64: the rank of each track's artist."""
    listed = np.searchsorted(catalogue.first_track, track, side="right") - 1
    return np.where(np.asarray(track) < catalogue.first_track[-1], listed, catalogue.release.rank)
