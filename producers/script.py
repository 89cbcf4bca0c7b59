"""The script of a scenario: every record that is published, in the order of publication, a minute at a time.

plays ─► sent (soon, or too late) ─► sent again by clients ─► ordered by sent_at ─► retried by producers
Reads no clock: the same scenario and start give the same records.
"""

from collections.abc import Iterator
from enum import IntEnum

import numpy as np

from pipeline.rules import Rules
from producers.catalogue.artists import Catalogue
from producers.columns import Array, Columns, height, join, take
from producers.listeners.demand import Habits, Hit
from producers.listeners.people import COUNTRIES, People
from producers.listeners.sessions import Listeners
from producers.scenario import Scenario

STEP_MS = 60_000
PROMPT_MS = 20_000
"""Most events reach the log within this time after they were played."""
LATEST_MS = 30 * 60_000
"""Late events come at most so long after they were played."""


class Kind(IntEnum):
    """What a published record is."""

    PLAY = 0
    CLIENT_DOUBLE_SEND = 1
    """A copy with the same id and played_at, sent later."""
    PRODUCER_RETRY = 2
    """The same bytes once more, the next record of the partition."""

    @property
    def label(self) -> str:
        return self.name.lower()


class _AlbumRelease:
    """The demand of a scenario: its release, for all countries at once."""

    def __init__(self, scenario: Scenario, album: Hit) -> None:
        self._scenario = scenario
        self.hits = (album,)

    def shares(self, t: Array, country: Array) -> Array:  # noqa: ARG002
        return self._scenario.share(t)[None]

    def load(self, t: int) -> Array:
        return np.full(len(COUNTRIES), self._scenario.load(np.array([t]))[0])


def script(scenario: Scenario, catalogue: Catalogue, people: People, rules: Rules, start: int) -> Iterator[Columns]:
    """Records ordered by sent_at, `scenario.events` in all, with sent_at in [start, start + scenario.length_ms), epoch ms.

    Columns: kind (of Kind), event_id (uint8[n, 16]), artist_id, the event's other numbers, and indices into PLATFORMS,
    REASONS, SERVICES and COUNTRIES.
    """
    end = start + scenario.length_ms
    doubles, retries = (int(scenario.events * share) for share in (scenario.double_send_share, scenario.retry_share))
    steps = _steps(start, end)
    plays_in = _spread(scenario.events - doubles - retries, _weights(scenario, people, start, steps))
    doubles_in, retries_in = _proportional(doubles, plays_in), _proportional(retries, plays_in)
    listeners = Listeners(
        scenario.seed, catalogue, people, start, _AlbumRelease(scenario, catalogue.release.drops[0]), Habits()
    )
    listeners.settle(plays_in[0] / (steps[0][1] - steps[0][0]))
    rng = np.random.default_rng([scenario.seed, 5])
    waiting: list[Columns] = []
    for (begin, until), count, twice, retried in zip(steps, plays_in, doubles_in, retries_in, strict=True):
        plays = _send(listeners.plays(begin, until, int(count)), scenario, rules, end, rng)
        plays |= _identify(plays, catalogue, people, rng)
        plays["kind"] = np.full(height(plays), Kind.PLAY)
        plays["again"] = _mark(height(plays), int(retried), rng)
        copies = _send_again(take(plays, _mark(height(plays), int(twice), rng)), rules, end, rng)
        records = join([*waiting, plays, copies])
        records = take(records, np.argsort(records["sent_at"], kind="stable"))
        ready = int(np.searchsorted(records["sent_at"], until))
        waiting = [take(records, np.arange(ready, height(records)))]
        yield _retry(take(records, np.arange(ready)))


def _steps(start: int, end: int) -> list[tuple[int, int]]:
    """Minutes of the scenario's clock, the last as long as what remains."""
    return [(begin, min(begin + STEP_MS, end)) for begin in range(start, end, STEP_MS)]


def _weights(scenario: Scenario, people: People, start: int, steps: list[tuple[int, int]]) -> Array:
    """The load of each step, on a scale of its own."""
    middle = np.array([(begin + until) // 2 for begin, until in steps])
    eager = np.array([people.eagerness(int(instant)) for instant in middle])
    weights: Array = eager * scenario.load(middle - start) * np.array([until - begin for begin, until in steps])
    return weights


def _spread(total: int, weights: Array) -> Array:
    """int64: whole numbers in proportion to the weights whose sum is `total`."""
    return np.diff(np.rint(np.cumsum(weights) / weights.sum() * total).astype(np.int64), prepend=0)


def _proportional(copies: int, plays_in: Array) -> Array:
    """How many plays of each step get a copy: never more than there are."""
    total = int(plays_in.sum())
    return np.diff(np.cumsum(plays_in) * copies // max(total, 1), prepend=0)


def _mark(count: int, marked: int, rng: np.random.Generator) -> Array:
    """bool[count] with `marked` of them true."""
    mask = np.zeros(count, np.bool_)
    mask[rng.choice(count, marked, replace=False)] = True
    return mask


def _send(plays: Columns, scenario: Scenario, rules: Rules, end: int, rng: np.random.Generator) -> Columns:
    """With sent_at and offline: most within seconds, some later than the grace (and the pane that a tick may lag)."""
    count = height(plays)
    time_left = end - 2 - plays["played_at"]  # a copy must still find a later instant
    prompt = rng.random(count) ** 3 * np.clip(time_left, 0, min(PROMPT_MS, rules.grace_ms))
    too_late = rules.grace_ms + 2 * rules.pane_ms
    # Half the horizon at most: a copy of a late event is to be recognised too.
    longest = np.minimum(time_left, min(max(LATEST_MS, 2 * too_late), rules.horizon_ms // 2))
    late = (rng.random(count) < scenario.late_share) & (longest > too_late)
    delay = np.where(late, too_late + rng.random(count) ** 2 * (longest - too_late), prompt).astype(np.int64)
    offline = rng.random(count) < np.where(late, 0.7, 0.004)
    # Played in the very last instants: then it ended those instants earlier.
    played_at = np.minimum(plays["played_at"], end - 2)
    return plays | {"played_at": played_at, "sent_at": played_at + delay, "offline": offline}


def _identify(plays: Columns, catalogue: Catalogue, people: People, rng: np.random.Generator) -> Columns:
    """Ids: a UUIDv7 of played_at and random bits, and what the catalogue and the people say."""
    track = plays["track"]
    rank = np.searchsorted(catalogue.first_track, track, side="right") - 1
    rank[track >= catalogue.release.first_track] = catalogue.release.rank
    return {
        "event_id": uuid7(plays["played_at"], rng),
        "user_id": plays["user"] + 1,
        "artist_id": catalogue.artist_ids[rank],
        "track_id": track + 1,
        "album_id": catalogue.album_ids[track],
        "country": people.country[plays["user"]],
    }


def uuid7(instants: Array, rng: np.random.Generator) -> Array:
    """uint8[n, 16]: a UUID version 7 (RFC 9562) of each instant (epoch ms)."""
    ids = np.frombuffer(rng.bytes(16 * len(instants)), np.uint8).reshape(-1, 16).copy()
    ids[:, :6] = instants.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 2:]
    ids[:, 6] = ids[:, 6] & 0x0F | 0x70
    ids[:, 8] = ids[:, 8] & 0x3F | 0x80
    return ids


def _send_again(copies: Columns, rules: Rules, end: int, rng: np.random.Generator) -> Columns:
    """The copies: sent seconds to minutes later, one in eight tens of minutes, and in time for the dedup horizon."""
    count = height(copies)
    soon = 2_000 * 100 ** rng.random(count)  # 2 s to 200 s, most of them early
    delay = np.where(rng.random(count) < 0.125, rng.uniform(600_000, 2_400_000, count), soon)
    latest = np.minimum(end - 1, copies["played_at"] + rules.horizon_ms)
    left = np.maximum(latest - copies["sent_at"], 1)
    delay = np.where(delay < left, delay, rng.random(count) * left).astype(np.int64)
    return copies | {
        "kind": np.full(count, Kind.CLIENT_DOUBLE_SEND),
        "again": np.zeros(count, np.bool_),
        "sent_at": copies["sent_at"] + np.maximum(delay, 1),
    }


def _retry(records: Columns) -> Columns:
    """With the retried records twice, the copy next to its original."""
    again = records.pop("again")
    twice = np.repeat(np.arange(len(again)), 1 + again)
    records = take(records, twice)
    records["kind"][1:][twice[1:] == twice[:-1]] = Kind.PRODUCER_RETRY
    return records
