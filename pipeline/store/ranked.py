"""Ranked lists with names."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.settings import Settings
from pipeline.store.ask import Asked

_NAMES_AT_ONCE = 1000
"""Parameters travel in the URL, which has a limit."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place of a ranked list, from 1. `name` is None where the `artists` topic has none."""

    rank: int
    artist_id: int
    name: str | None
    plays: int


@dataclass(frozen=True, slots=True)
class Top:
    """A ranked list of the window [start_ms, end_ms), which is whole panes.

    `watermark_ms`: the global watermark that the store knows of; `final`: nothing that counts can still come.
    `note` says in a sentence what was rounded or is missing, empty where nothing.
    """

    rows: list[Place]
    start_ms: int
    end_ms: int
    watermark_ms: int
    final: bool
    note: str


def places(settings: Settings, asked: Asked, ranked: list[tuple[int, int]]) -> list[Place]:
    """(artist, plays) in order, each with its rank and name."""
    names = names_of(settings, asked, [artist for artist, _ in ranked])
    return [Place(rank, artist, names.get(artist), plays) for rank, (artist, plays) in enumerate(ranked, 1)]


def names_of(settings: Settings, asked: Asked, artists: Iterable[int]) -> dict[int, str]:
    """The names that are known of these artists."""
    query = "SELECT artist_id, name FROM artists FINAL WHERE has({ids:Array(Int64)}, artist_id)"
    wanted, names = sorted(set(artists)), dict[int, str]()
    for first in range(0, len(wanted), _NAMES_AT_ONCE):
        ids = ",".join(map(str, wanted[first : first + _NAMES_AT_ONCE]))
        names |= {row["artist_id"]: row["name"] for row in asked(settings, query, {"ids": f"[{ids}]"})}
    return names
