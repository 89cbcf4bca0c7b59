"""The catalogue: artists by popularity rank, their albums and tracks, one album that isn't out yet, one track that may go
viral, and a few songs so short that some play them on repeat.
"""

from dataclasses import dataclass

import numpy as np

from producers.catalogue.names import invented_names
from producers.columns import Array
from producers.listeners.demand import Hit

ZIPF_EXPONENT = 0.92
"""Fitted to Luminate 2025 at catalogue scale."""
ALBUM_TRACKS = 10
DROPS = (16, 15)
"""Tracks of the release, and more of it two hours later [The Tortured Poets Department]."""
SHORT_TRACKS = 12


@dataclass(frozen=True, eq=False)
class Release:
    """The album that comes out in the scenario, in two drops: its artist, and its tracks as a range of the catalogue's."""

    rank: int
    artist_id: int
    name: str
    album_id: int
    first_track: int
    tracks: int
    drops: tuple[Hit, Hit]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Artists by rank (0: the most popular), N of them; tracks in order of their artist's rank, T of them.

    The tracks of rank r are [first_track[r], first_track[r + 1]), its own most popular first; those of the release stand
    behind all others and belong to no rank's range. A track's id is its index + 1.
    """

    names: tuple[str, ...]
    artist_ids: Array
    """int64[N]: a permutation of 1..N, so that an id tells nothing about popularity."""
    popularity: Array
    """float64[N]: cumulative probability by rank."""
    first_track: Array
    """int64[N + 1]"""
    track_ms: Array
    """int64[T]: duration of each track."""
    album_ids: Array
    """int64[T]: album of each track, from 1; 0 where the track is a single."""
    release: Release
    viral: Hit
    """One track of an artist whom few know."""
    short_tracks: Array
    """int64[SHORT_TRACKS]: the least popular track of some artists; 34 to 37 s."""


def build_catalogue(artists: int, seed: int, zipf_exponent: float = ZIPF_EXPONENT) -> Catalogue:
    """The catalogue of a seed; at least 20 artists. The exponent changes nothing but their popularity."""
    rng = np.random.default_rng([seed, 2])
    names = invented_names(artists, seed)
    artist_ids = rng.permutation(artists) + 1
    weights = np.arange(1, artists + 1) ** -zipf_exponent
    counts = rng.integers(3, 33, artists)
    first_track = np.concatenate([[0], np.cumsum(counts)])
    listed = int(first_track[-1])
    place = np.arange(listed) - np.repeat(first_track[:-1], counts)
    albums = -(-counts // ALBUM_TRACKS)
    first_album = np.concatenate([[0], np.cumsum(albums)])
    album_ids = np.repeat(first_album[:-1], counts) + place // ALBUM_TRACKS + 1
    album_ids[rng.random(listed) < 0.04] = 0
    # Lognormal around 3:20, and never so short that "skipped after 30 s" would be the end.
    track_ms = np.clip(rng.lognormal(np.log(200_000), 0.28, listed + sum(DROPS)), 75_000, 720_000).astype(np.int64)
    rank = int(rng.integers(artists // 50, artists // 20 + 1)) or 1
    album = int(first_album[-1]) + 1
    drops = Hit(listed, DROPS[0]), Hit(listed + DROPS[0], DROPS[1])
    unknown = int(rng.integers(artists // 2, artists))
    short_tracks = first_track[1 + rng.choice(artists, SHORT_TRACKS, replace=False)] - 1
    track_ms[short_tracks] = rng.integers(34_000, 37_001, SHORT_TRACKS)
    return Catalogue(
        names=names,
        artist_ids=artist_ids,
        popularity=np.cumsum(weights) / weights.sum(),
        first_track=first_track,
        track_ms=track_ms,
        album_ids=np.concatenate([album_ids, np.full(sum(DROPS), album)]),
        release=Release(rank, int(artist_ids[rank]), names[rank], album, listed, sum(DROPS), drops),
        viral=Hit(int(first_track[unknown]), 1),
        short_tracks=short_tracks,
    )
