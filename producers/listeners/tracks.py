"""What is played next and how it ends: artist, track, skip."""

import numpy as np

from producers.catalogue.artists import Catalogue
from producers.columns import Array, Columns
from producers.listeners.demand import Demand, Hit

# Lamere: 24% of plays are skipped by 5 s, 35% by 30 s, 49% before the end.
SKIPPED_BY_5_S, SKIPPED_BY_30_S, SKIPPED = 0.24, 0.35, 0.49
SHORTEST_MS = 300

REASONS = ("finished", "skipped", "paused", "closed", "error", "other")
_ENDINGS = np.array([REASONS.index(name) for name in ("skipped", "paused", "closed", "error")])
_ENDING_WEIGHTS = np.cumsum([0.80, 0.10, 0.09, 0.01])


def choose(
    catalogue: Catalogue, demand: Demand, t: Array, country: Array, rng: np.random.Generator, *, ending: bool = False
) -> Columns:
    """What listeners of these countries play and how far: track, track_ms, ms_played, reason_end.

    `t`: when the plays begin, or with `ending` when they end; ms since the scenario's start.
    """
    track = pick_tracks(catalogue, len(t), rng)
    plays = {"track": track} | listen(catalogue.track_ms[track], rng)
    if demand.hits:
        shares = np.cumsum(demand.shares(t - plays["ms_played"] if ending else t, country), axis=0)
        draw = rng.random(len(t))
        rows = np.flatnonzero(draw < shares[-1])
        number = (draw[rows] >= shares[:, rows]).sum(axis=0)
        track = pick_of_hits(demand.hits, number, rng)
        heard = listen(catalogue.track_ms[track], rng)
        if ending:
            # Another track is heard for another time, and nobody hears one before it is out.
            out = demand.shares(t[rows] - heard["ms_played"], country[rows])[number, np.arange(len(rows))] > 0
            rows, track, heard = rows[out], track[out], {name: values[out] for name, values in heard.items()}
        plays["track"][rows] = track
        for name, values in heard.items():
            plays[name][rows] = values
    return plays | {"track_ms": catalogue.track_ms[plays["track"]]}


def pick_tracks(catalogue: Catalogue, count: int, rng: np.random.Generator) -> Array:
    """int64[count]: indices of tracks, artists by Zipf and the tracks of each by popularity."""
    rank = np.searchsorted(catalogue.popularity[:-1], rng.random(count), side="right")
    first = catalogue.first_track[rank]
    return first + ((catalogue.first_track[rank + 1] - first) * rng.random(count) ** 2).astype(np.int64)


def pick_of_hits(hits: tuple[Hit, ...], number: Array, rng: np.random.Generator) -> Array:
    """int64[n]: indices of tracks, one of each of the hits with these numbers."""
    first, tracks = (np.array([getattr(hit, name) for hit in hits])[number] for name in ("first_track", "tracks"))
    picked: Array = first + (tracks * rng.random(len(number)) ** 1.5).astype(np.int64)
    return picked


def listen(track_ms: Array, rng: np.random.Generator) -> Columns:
    """How long tracks of these durations are heard: `ms_played` in [0, track_ms] and `reason_end` (index into REASONS).

    Where one is skipped is uniform within the interval (to 5 s, to 30 s, to its end).
    """
    count = len(track_ms)
    fate, how_far = rng.random(count), rng.random(count)
    low = np.select([fate < SKIPPED_BY_5_S, fate < SKIPPED_BY_30_S], [SHORTEST_MS, 5_000], 30_000)
    high = np.select([fate < SKIPPED_BY_5_S, fate < SKIPPED_BY_30_S], [5_000, 30_000], track_ms)
    finished = fate >= SKIPPED
    heard = np.where(finished, track_ms, low + ((high - low) * how_far).astype(np.int64))
    ending = _ENDINGS[np.searchsorted(_ENDING_WEIGHTS[:-1], rng.random(count), side="right")]
    return {"ms_played": heard, "reason_end": np.where(finished, 0, ending)}
