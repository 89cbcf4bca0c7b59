"""Columns with a hash index over them: 128-bit key → entry, a batch at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from mmap import MADV_HUGEPAGE, MAP_ANONYMOUS, MAP_PRIVATE, PAGESIZE, mmap
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.dedup.index import LANES, Halves, Index, Longs, Rows
from pipeline.errors import RefusedError

Flags = npt.NDArray[np.bool_]

CHUNK = 1 << 16
"""Rows that are handled at a time where there are many, so that what is passing stays small."""
_FULLEST, _FULLEST_ANEW = 0.7, 0.5
"""Of places: how many are taken, by stale entries too, before the index is made anew, and how many at most then."""
_SMALLEST = 128
_HUGE_PAGE = 1 << 21
_ROW = 1 << 31
"""In the index, numbers from here on are rows of the batch at hand, which have no entry yet."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Where the keys of a batch are."""

    made: Rows
    """The first row of each key that had no entry, ascending."""
    others: Rows
    """All other rows, ascending."""
    entry: Longs
    """By row; of rows whose key had none only once it is entered."""
    place: Rows
    """By row: where in the index the entry is named. Until the next probe."""


class Table:
    """Keys and their entries. Subclasses number the entries, and keep what belongs to them in `columns`."""

    columns: ClassVar[Mapping[str, type[np.generic]]] = {"_head": np.uint64, "_tail": np.uint64}
    _head: Halves
    _tail: Halves

    def __init__(self) -> None:
        self.size = self.capacity = 0
        self._index = Index(_SMALLEST)
        self._maps = {name: mmap(-1, PAGESIZE, flags=MAP_PRIVATE | MAP_ANONYMOUS) for name in self.columns}
        self.resize(1)

    @property
    def nbytes(self) -> int:
        """Bytes held, unused capacity included."""
        return int(self._index.words.nbytes) + sum(map(len, self._maps.values()))

    def entries(self) -> Iterator[Longs]:
        """All entries, some at a time, numbered as they were made unless a subclass says otherwise."""
        for start in range(0, self.size, CHUNK):
            yield np.arange(start, min(start + CHUNK, self.size))

    def find(self, head: Halves, tail: Halves) -> Probe:
        """Find the entry of each key. Those that have none are to be entered before anything else is asked.

        A round does one thing for each row that is left: compare its key with one of those that have its tag, go on to the
        next bucket, or claim a place. Rows of one key do the same until the first of them has won its place.
        """
        if self._index.taken + len(head) > _FULLEST * self._index.places:
            self._reindex(len(head))
        index, count = self._index, len(head)
        entry, places, makes = np.empty(count, np.int64), np.empty(count, np.intp), np.zeros(count, np.bool_)
        rows = np.arange(count)[::-1]  # backwards, since the last of several claims wins
        bucket, tag = index.home(head[::-1], tail[::-1])
        compared = np.zeros(count, np.uint64)
        while len(rows):
            alike, lane = index.look(bucket, tag)
            alike &= ~compared
            place = 2 * bucket + lane
            left, compares, full = np.ones(len(rows), np.bool_), alike != 0, lane == LANES
            if len(claims := np.flatnonzero(~(compares | full))):
                names = (rows[claims] + _ROW).astype(np.uint32)
                won = claims[index.claim(place[claims], lane[claims], tag[claims], names)]
                row = rows[won]
                left[won], makes[row], places[row] = False, True, place[won]
            if len(looks := np.flatnonzero(compares)):
                bit, lane = index.first(alike[looks])
                place, row = 2 * bucket[looks] + lane, rows[looks]
                number = index.numbers[place].astype(np.int64)
                same = self._same(number, row, head, tail)
                left[looks[same]], entry[row[same]], places[row[same]] = False, number[same], place[same]
                compared[looks] |= bit
            if len(on := np.flatnonzero(full > compares)):
                bucket[on], compared[on] = index.next(bucket[on]), 0
            again = np.flatnonzero(left)
            rows, bucket, tag, compared = rows[again], bucket[again], tag[again], compared[again]
        return Probe(np.flatnonzero(makes), np.flatnonzero(~makes), entry, places)

    def enter(self, probe: Probe, numbers: Longs, head: Halves, tail: Halves) -> None:
        """Make the entries of the keys that had none, under these numbers; the columns have room for them."""
        made, others, entry = probe.made, probe.others, probe.entry
        self._head[numbers], self._tail[numbers] = head[made], tail[made]
        self._index.numbers[probe.place[made]] = numbers.astype(np.uint32)
        entry[made] = numbers
        same = others[entry[others] >= _ROW]
        entry[same] = entry[entry[same] - _ROW]
        self.size += len(made)

    def _same(self, number: Longs, row: Rows, head: Halves, tail: Halves) -> Rows:
        """Which of these numbers of the index have the key of their row."""
        theirs, fresh = self._head.take(number, mode="clip"), np.flatnonzero(number >= _ROW)
        theirs[fresh] = head[number[fresh] - _ROW]
        same = np.flatnonzero(theirs == head[row])
        number, row = number[same], row[same]
        theirs, fresh = self._tail.take(number, mode="clip"), np.flatnonzero(number >= _ROW)
        theirs[fresh] = tail[number[fresh] - _ROW]
        live = self._live(number)
        live[fresh] = True
        found: Rows = same[live & (theirs == tail[row])]
        return found

    def _live(self, number: Longs) -> Flags:
        """Which of these numbers, that the index names, are entries still; some may be beyond the columns' end."""
        return np.ones(len(number), np.bool_)

    def _reindex(self, more: int) -> None:
        """Make the index anew, without what is stale, with room for so many more."""
        places = _SMALLEST
        while self.size + more > _FULLEST_ANEW * places:
            places *= 2
        del self._index  # or both would be held
        self._index = Index(places)
        for numbers in self.entries():
            self._index.insert(self._head[numbers], self._tail[numbers], numbers)

    def shrink(self) -> None:
        """Make the index anew where it is far too large for what is left."""
        if self._index.places > max(16 * self.size, _SMALLEST):
            self._reindex(0)

    def widen(self, capacity: int) -> None:
        """Room for entries up to this number, by an eighth more at least. Raises RefusedError where numbers end."""
        if capacity > _ROW:
            raise RefusedError(f"a partition can remember {_ROW:,} ids at most: shorten LISTENING_HORIZON_SECONDS")
        if capacity > self.capacity:
            self.resize(min(max(capacity, self.capacity + self.capacity // 8), _ROW))

    def resize(self, capacity: int) -> None:
        """Room for so many entries: the kernel moves pages, so nothing is copied, and what isn't written to is no memory."""
        self.capacity = capacity
        for name, dtype in self.columns.items():
            if hasattr(self, name):
                delattr(self, name)  # it would hold its memory in place
            size = _whole(capacity * np.dtype(dtype).itemsize, PAGESIZE)
            large = size >= 8 * _HUGE_PAGE
            self._maps[name].resize(_whole(size, _HUGE_PAGE) if large else size)
            if large:
                self._maps[name].madvise(MADV_HUGEPAGE)  # as numpy does for its own
            setattr(self, name, np.frombuffer(self._maps[name], dtype))


def _whole(size: int, pages: int) -> int:
    return -(-size // pages) * pages
