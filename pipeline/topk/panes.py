"""What a shard keeps of its panes: plays by artist, and artists as dense indices."""

import numpy as np
import numpy.typing as npt

from pipeline.topk.rank import Longs

Indices = npt.NDArray[np.intp]


class Artists:
    """Artist ids as dense indices."""

    def __init__(self, ids: Longs | None = None) -> None:
        self._ids = np.zeros(1024, np.int64) if ids is None else ids
        self._index: dict[int, int] = {} if ids is None else {artist: at for at, artist in enumerate(ids.tolist())}

    def __len__(self) -> int:
        return len(self._index)

    def index(self, artist: int) -> int:
        found = self._index.get(artist)
        if found is None:
            found = self._index[artist] = len(self._index)
            if found >= len(self._ids):
                self._ids = grown(self._ids, 2 * found + 1)
            self._ids[found] = artist
        return found

    def ids(self, count: int) -> Longs:
        """The ids of the first `count` indices."""
        return self._ids[:count]

    def only(self, live: npt.NDArray[np.bool_]) -> "Artists":
        """The marked ones, in the same order, with new indices from 0."""
        return Artists(self._ids[: len(live)][live])


class Pane:
    """Plays of one pane: per artist the sum over source partitions, and what each partition said last.

    Settled, it is two arrays, and nothing changes it any more.
    """

    __slots__ = ("_said", "_settled", "_total")

    def __init__(self) -> None:
        self._said: dict[tuple[int, int], tuple[int, int]] = {}
        self._total: dict[int, int] = {}
        self._settled: tuple[Indices, Longs] | None = None

    def put(self, partition: int, artist: int, plays: int, version: int) -> None:
        """Take an absolute count; one of an older version changes nothing."""
        if self._settled is not None:
            return
        before, known = self._said.get((partition, artist), (0, -1))
        if version > known:
            self._said[partition, artist] = (plays, version)
            self._total[artist] = self._total.get(artist, 0) + plays - before

    def settle(self) -> None:
        if self._settled is None:
            self._settled = self._columns()
            self._said, self._total = {}, {}

    def artists(self) -> Indices:
        """Indices of the artists that it holds."""
        return self._columns()[0]

    def renumber(self, new: Indices) -> None:
        """Take the artists' new indices: `new[old]`."""
        if self._settled is not None:
            self._settled = (new[self._settled[0]], self._settled[1])
        self._said = {(partition, int(new[artist])): said for (partition, artist), said in self._said.items()}
        self._total = {int(new[artist]): plays for artist, plays in self._total.items()}

    def add_to(self, total: Longs, sign: int) -> None:
        """Add (or subtract) this pane's plays to sums by artist index."""
        artists, plays = self._columns()
        total[artists] += sign * plays

    def _columns(self) -> tuple[Indices, Longs]:
        if self._settled is not None:
            return self._settled
        count = len(self._total)
        artists = np.fromiter(self._total.keys(), np.intp, count)
        return artists, np.fromiter(self._total.values(), np.int64, count)


def grown(array: Longs, length: int) -> Longs:
    grown = np.zeros(max(length, len(array)), np.int64)
    grown[: len(array)] = array
    return grown
