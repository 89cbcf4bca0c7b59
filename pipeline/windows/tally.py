"""Plays by artist, as columns."""

import numpy as np

from pipeline.windows.columns import Longs, inserted, located


class Tally:
    """`artists` (any int64, ascending, each once) and their `plays`. What isn't there has no plays."""

    __slots__ = ("artists", "plays")

    def __init__(self) -> None:
        self.artists: Longs = np.zeros(0, np.int64)
        self.plays: Longs = np.zeros(0, np.int64)

    def add(self, artists: Longs, plays: Longs) -> Longs:
        """Add plays of these artists (ascending, each once); how many they have now. The arrays given aren't kept."""
        if not len(self.artists):
            self.artists, self.plays = artists.copy(), plays.copy()
            return plays
        at, known = located(self.artists, artists)
        places, now = at[known], plays.copy()
        now[known] += self.plays[places]
        self.plays[places] = now[known]
        if len(places) < len(artists):
            new = ~known
            self.artists, self.plays = inserted((self.artists, self.plays), at[new], (artists[new], plays[new]))
        return now

    def copy(self) -> "Tally":
        """One to go on with apart from this. The artists are shared: they are replaced, never changed in place."""
        other = Tally()
        other.artists, other.plays = self.artists, self.plays.copy()
        return other

    def forget_zeros(self) -> None:
        """Leave out artists without plays, once they are more than a quarter: not all is copied with each call."""
        played = self.plays != 0
        if 4 * np.count_nonzero(played) < 3 * len(played):
            self.artists, self.plays = self.artists[played], self.plays[played]
