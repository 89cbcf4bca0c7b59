"""Legitimate look-alikes of duplicates: a short song on repeat, and two people on one account."""

import numpy as np

from producers.catalogue.artists import Catalogue
from producers.columns import Array, Columns, height, take
from producers.listeners.people import PLATFORM_SHARES, SERVICE_OF

LOOK_ALIKES = ("", "on_repeat", "shared_account")
ON_REPEAT, SHARED_ACCOUNT = 1, 2
APART_MS = 60_000
"""Both people on an account end the track that they share within this time."""

# By service: the platforms of the others, cumulative.
_ELSEWHERE = np.cumsum(PLATFORM_SHARES * (np.unique(SERVICE_OF)[:, None] != SERVICE_OF), axis=1)


def put_on_repeat(sessions: Columns, rows: Array, catalogue: Catalogue, rng: np.random.Generator) -> None:
    """Let these sessions play one short song each, to its end."""
    track = catalogue.short_tracks[rng.integers(len(catalogue.short_tracks), size=len(rows))]
    song = {"look_alike": ON_REPEAT, "track": track, "track_ms": catalogue.track_ms[track], "reason_end": 0}
    for name, values in (song | {"ms_played": song["track_ms"]}).items():
        sessions[name][rows] = values


def share_accounts(sessions: Columns, rows: Array, plays: Columns, end: int, rng: np.random.Generator) -> None:
    """Let these sessions be of second people on the accounts of some who listen: of these plays, which end before `end`.

    They begin with what the other is hearing: as far, less than APART_MS later, on another device and service. What they
    play then is their own choice. Without anyone who listens they stay what they are.
    """
    others = np.flatnonzero(plays["look_alike"] == 0)
    if not len(others):
        return
    host = take(plays, others[rng.integers(len(others), size=len(rows))])
    later = (rng.random(height(host)) * np.minimum(APART_MS, end - host["played_at"])).astype(np.int64)
    bounds = _ELSEWHERE[host["service"]]
    platform = (rng.random(height(host))[:, None] * bounds[:, -1:] >= bounds).sum(axis=1)
    guest = {name: host[name] for name in ("user", "track", "track_ms", "ms_played", "reason_end")} | {
        "look_alike": SHARED_ACCOUNT,
        "platform": platform,
        "service": SERVICE_OF[platform],
        "played_at": host["played_at"] + later,
    }
    for name, values in guest.items():
        sessions[name][rows] = values
