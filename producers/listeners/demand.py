"""What a scenario asks of the listeners: tracks that draw attention, how much is listened, and how people listen."""

from dataclasses import dataclass
from typing import Protocol

from producers.columns import Array


@dataclass(frozen=True, slots=True)
class Hit:
    """Tracks that draw attention to themselves: the range [first_track, first_track + tracks) of the catalogue's tracks,
    the most popular first.
    """

    first_track: int
    tracks: int


class Demand(Protocol):
    """What the world asks for over time; t is milliseconds since the scenario's start."""

    @property
    def hits(self) -> tuple[Hit, ...]:
        """Who has a share of plays of their own."""
        ...

    def shares(self, t: Array, country: Array) -> Array:
        """float64[hits, n]: the share of plays each hit has at these instants (of the play's begin) with listeners of
        these countries (index into COUNTRIES). Columns sum to at most 0.9.
        """
        ...

    def load(self, t: int) -> Array:
        """float64[countries]: how many times as much as usual each country listens."""
        ...


@dataclass(frozen=True, slots=True)
class Habits:
    """How people listen; shares are of 1."""

    on_repeat: float = 0.0
    """Share of sessions that play one short song, to its end, again and again."""
    shared_accounts: float = 0.0
    """Share of sessions that are a second person on an account that is listening already, on another device and service."""
    offline: float = 0.0
    """Share of sessions of a listener without connection."""
    skewed_clocks: float = 0.0
    """Share of users whose client's clock is wrong."""
    skew_minutes: tuple[float, float] = (-60.0, 60.0)
    """How far ahead wrong clocks are: uniform between these."""
