"""What is played next and how it ends: artist, track, skip."""

import numpy as np

from producers.catalogue.artists import Catalogue
from producers.columns import Array, Columns

# Lamere: 24% of plays are skipped by 5 s, 35% by 30 s, 49% before the end.
SKIPPED_BY_5_S, SKIPPED_BY_30_S, SKIPPED = 0.24, 0.35, 0.49
SHORTEST_MS = 300

REASONS = ("finished", "skipped", "paused", "closed", "error", "other")
_ENDINGS = np.array([REASONS.index(name) for name in ("skipped", "paused", "closed", "error")])
_ENDING_WEIGHTS = np.cumsum([0.80, 0.10, 0.09, 0.01])


def pick_tracks(catalogue: Catalogue, count: int, rng: np.random.Generator) -> Array:
    """int64[count]: indices of tracks, artists by Zipf and the tracks of each by popularity."""
    rank = np.searchsorted(catalogue.popularity[:-1], rng.random(count), side="right")
    first = catalogue.first_track[rank]
    return first + ((catalogue.first_track[rank + 1] - first) * rng.random(count) ** 2).astype(np.int64)


def pick_released(catalogue: Catalogue, count: int, rng: np.random.Generator) -> Array:
    """int64[count]: indices of tracks of the released album."""
    release = catalogue.release
    return release.first_track + (release.tracks * rng.random(count) ** 1.5).astype(np.int64)


def listen(track_ms: Array, rng: np.random.Generator) -> Columns:
    """How long tracks of these durations are heard: `ms_played` in [0, track_ms] and `reason_end` (index into REASONS)."""
    count = len(track_ms)
    fate, how_far = rng.random(count), rng.random(count)
    low = np.select([fate < SKIPPED_BY_5_S, fate < SKIPPED_BY_30_S], [SHORTEST_MS, 5_000], 30_000)
    high = np.select([fate < SKIPPED_BY_5_S, fate < SKIPPED_BY_30_S], [5_000, 30_000], track_ms)
    finished = fate >= SKIPPED
    heard = np.where(finished, track_ms, low + ((high - low) * how_far).astype(np.int64))
    ending = _ENDINGS[np.searchsorted(_ENDING_WEIGHTS[:-1], rng.random(count), side="right")]
    return {"ms_played": heard, "reason_end": np.where(finished, 0, ending)}
