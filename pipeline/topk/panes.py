"""What a shard keeps of a pane: plays by artist."""

from typing import NamedTuple

import numpy as np

from pipeline.windows.columns import Flags, Longs, firsts, inserted, located, summed


class Said(NamedTuple):
    """What a source partition said last, as columns: artists ascending, each once."""

    artists: Longs
    plays: Longs
    versions: Longs


def ordered(panes: Longs, told: Said) -> tuple[Longs, Said]:
    """The rows by pane and artist, each pair once: of several rows of the largest version, the first."""
    if _ascends(panes, told.artists).all():
        return panes, told
    order = np.lexsort((~told.versions, told.artists, panes))
    panes, told = panes[order], Said(*(column[order] for column in told))
    first = firsts(panes, told.artists)
    return panes[first], Said(*(column[first] for column in told))


def _ascends(panes: Longs, artists: Longs) -> Flags:
    """Whether each row but the first comes behind the one before it."""
    behind: Flags = (panes[1:] > panes[:-1]) | ((panes[1:] == panes[:-1]) & (artists[1:] > artists[:-1]))
    return behind


class Pane:
    """Plays of one pane: what each source partition said last of each artist.

    Settled, it is the sums over the partitions, and nothing changes it any more.
    """

    __slots__ = ("_said", "_settled")

    def __init__(self) -> None:
        self._said: dict[int, Said] = {}
        self._settled: tuple[Longs, Longs] | None = None

    def put(self, partition: int, told: Said) -> None:
        """Take absolute counts; one of an older version changes nothing. The arrays given aren't kept."""
        if self._settled is not None:
            return
        kept = self._said.get(partition) or Said(*np.zeros((3, 0), np.int64))
        at, known = located(kept.artists, told.artists)
        places = at[known]
        newer = told.versions[known] > kept.versions[places]
        for column, values in ((kept.plays, told.plays), (kept.versions, told.versions)):
            column[places[newer]] = values[known][newer]
        if len(places) < len(at):
            more = [column[~known] for column in told]
            self._said[partition] = Said(*inserted(kept, at[~known], more))

    def settle(self) -> None:
        if self._settled is None:
            self._settled = summed(self.parts())
            self._said = {}

    def parts(self) -> list[tuple[Longs, Longs]]:
        """Artists (ascending, each once) and plays; the sums over all parts are the pane's. At least one part."""
        if self._settled is not None:
            return [self._settled]
        return [(said.artists, said.plays) for said in self._said.values()]
