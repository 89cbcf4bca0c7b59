"""The plan of a scenario: how many records of each kind every step gets, so that they are exactly as many as asked for."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from producers.columns import Array
from producers.kinds import Kind
from producers.listeners.demand import Demand
from producers.listeners.people import People
from producers.scenarios.demand import MINUTE_MS
from producers.scenarios.model import Scenario
from producers.scenarios.parts import UpstreamReplay

STEP_MS, LONGEST_STEP_MS = MINUTE_MS, 10 * MINUTE_MS
STEP_PLAYS = 10_000
"""What a step should hold at least: arrays that are too short cost as much as longer ones."""
HEADROOM = 1.2
"""Capacity of the queue whose lag makes producers retry, in mean loads."""
LAG_DOUBLES_MS = 30_000
"""So much lag makes producers retry twice as often; twice as much, three times."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Numbers by step. A step is [begin, until), epoch ms."""

    steps: list[tuple[int, int]]
    plays: Array
    """int64[steps]"""
    copies: dict[Kind, Array]
    """int64[steps] of client double sends, producer retries, cross-service reports and poison: of plays of the step."""
    replays: list[Array]
    """int64[steps] of each upstream replay: how many of the step's plays it sends again."""


def plan(scenario: Scenario, people: People, demand: Demand, start: int) -> Plan:
    """The plan; its numbers add up to `scenario.events`."""
    replayed = {start + round(minute * MINUTE_MS) for r in scenario.duplicates.upstream_replay for minute in r.stretch}
    steps = _steps(start, start + scenario.length_ms, step_ms(scenario), replayed)
    weights = _weights(people, demand, start, steps)
    duplicates = scenario.duplicates
    totals = {
        Kind.CLIENT_DOUBLE_SEND: int(scenario.events * duplicates.client_double_send.share),
        Kind.PRODUCER_RETRY: int(scenario.events * duplicates.producer_retry.share),
        Kind.CROSS_SERVICE: int(scenario.events * duplicates.cross_service.share),
        Kind.POISON: int(scenario.events * scenario.poison.share),
    }
    plays, replays = _plays(scenario.events - sum(totals.values()), weights, steps, duplicates.upstream_replay)
    copies = {kind: _proportional(total, plays) for kind, total in totals.items()}
    if duplicates.producer_retry.grows_with_lag:
        retried = _spread(totals[Kind.PRODUCER_RETRY], plays * (1 + queue_lag(plays, steps) / LAG_DOUBLES_MS))
        copies[Kind.PRODUCER_RETRY] = retried
    return Plan(steps, plays, copies, replays)


def step_ms(scenario: Scenario) -> int:
    """How long a step is: whole minutes, so few that the load hardly changes within one."""
    wanted = STEP_PLAYS * scenario.length_ms / scenario.events
    changes = [scenario.release.peak_minutes / 4] if scenario.release else []
    changes += [(after.minute - before.minute) / 2 for before, after in pairwise(scenario.load)]
    longest = min([LONGEST_STEP_MS, *(minutes * MINUTE_MS for minutes in changes)])
    return max(int(min(wanted, longest)) // MINUTE_MS * MINUTE_MS, STEP_MS)


def queue_lag(arrivals: Array, steps: list[tuple[int, int]]) -> Array:
    """float64[steps], ms: how far a queue of HEADROOM mean loads lags at the end of each step."""
    lengths = np.array([until - begin for begin, until in steps])
    capacity = HEADROOM * arrivals.sum() / lengths.sum()
    # What is left is the sum of what came too much, since it was last empty.
    surplus = np.concatenate([[0.0], np.cumsum(arrivals - capacity * lengths)])
    backlog: Array = (surplus - np.minimum.accumulate(surplus))[1:]
    lag: Array = backlog / capacity
    return lag


def _steps(start: int, end: int, length: int, cuts: set[int]) -> list[tuple[int, int]]:
    """The scenario's clock in steps of this length, or shorter: none goes over a cut or the end."""
    return list(pairwise(sorted({*range(start, end, length), *(cut for cut in cuts if start < cut < end), end})))


def _weights(people: People, demand: Demand, start: int, steps: list[tuple[int, int]]) -> Array:
    """The load of each step, on a scale of its own."""
    middle = [(begin + until) // 2 for begin, until in steps]
    eager = np.array([people.eagerness(instant, demand.load(instant - start)) for instant in middle])
    weights: Array = eager * np.array([until - begin for begin, until in steps])
    return weights


def _plays(
    records: int, weights: Array, steps: list[tuple[int, int]], replays: tuple[UpstreamReplay, ...]
) -> tuple[Array, list[Array]]:
    """Plays by step, and by replay and step how many are sent again: together `records`."""
    start = steps[0][0]
    begins = np.array([begin - start for begin, _ in steps])
    bounds = [[round(minute * MINUTE_MS) for minute in replay.stretch] for replay in replays]
    stretches = [(begins >= first) & (begins < past) for first, past in bounds]

    def again(plays: Array) -> list[Array]:
        pairs = zip(replays, stretches, strict=True)
        return [_proportional(int(plays[stretch].sum() * replay.share), plays * stretch) for replay, stretch in pairs]

    few, many = 0, records + 1  # the largest number of plays that leaves room for what is sent again of them
    while many - few > 1:
        middle = (few + many) // 2
        plays = _spread(middle, weights)
        if middle + sum(int(sent.sum()) for sent in again(plays)) <= records:
            few = middle
        else:
            many = middle
    plays = _spread(few, weights)
    counts = again(plays)
    if left := records - few - sum(int(sent.sum()) for sent in counts):
        most = max(counts, key=lambda sent: int(sent.sum()))
        most[int(most.argmax())] += left
    return plays, counts


def _spread(total: int, weights: Array) -> Array:
    """int64: whole numbers in proportion to the weights whose sum is `total`."""
    return np.diff(np.rint(np.cumsum(weights) / weights.sum() * total).astype(np.int64), prepend=0)


def _proportional(copies: int, plays: Array) -> Array:
    """How many copies each step's plays get: of a step without plays none."""
    return np.diff(np.cumsum(plays) * copies // max(int(plays.sum()), 1), prepend=0)
