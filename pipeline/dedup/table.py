"""An open-addressing hash table over columns, probed a batch at a time: 128-bit key → dense entry number.

A key is two unsigned 64-bit halves. The index is 30 to 60% full at 4 bytes a place; whoever keeps something by key keeps it
in columns by entry number, which grow by a quarter.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Halves = npt.NDArray[np.uint64]
Longs = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]

_FULLEST = 0.6
_SMALLEST = 1024
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)  # splitmix64's


class Table:
    """Keys and their entries, 0 to size - 1, in the order in which they were made."""

    columns: ClassVar[Mapping[str, tuple[type[np.signedinteger[Any]], int]]] = {}
    """What a subclass keeps by entry: name → (type, value of an entry that was just made)."""

    def __init__(self) -> None:
        self.size = 0
        self._head = np.zeros(0, np.uint64)
        self._tail = np.zeros(0, np.uint64)
        self._mark = np.zeros(0, np.int32)
        self._index = np.full(_SMALLEST, -1, np.int32)
        for name, (dtype, _) in self.columns.items():
            setattr(self, name, np.zeros(0, dtype))

    @property
    def nbytes(self) -> int:
        """Bytes held, unused capacity included."""
        names = ("_head", "_tail", "_mark", "_index", *self.columns)
        return sum(int(getattr(self, name).nbytes) for name in names)

    def entries(self, head: Halves, tail: Halves) -> Rows:
        """The entry of each key, made where there is none yet. Valid until the next `keep`."""
        self._reserve(len(head))
        mask = np.uint64(len(self._index) - 1)
        position = (_mix(head, tail) & mask).astype(np.intp)
        found = np.full(len(head), -1, np.intp)
        pending = np.arange(len(head))
        while len(pending):
            at = position[pending]
            entry = self._index[at]
            vacant = entry < 0
            if vacant.any():
                entry[vacant] = self._claim(head, tail, at[vacant], pending[vacant])
            same = (self._head[entry] == head[pending]) & (self._tail[entry] == tail[pending])
            found[pending[same]] = entry[same]
            pending = pending[~same]
            position[pending] = (position[pending] + 1) & int(mask)
        return found

    def keys(self, entries: Rows) -> tuple[Halves, Halves]:
        """The keys of these entries."""
        return self._head[entries], self._tail[entries]

    def firsts(self, entries: Rows, rows: Rows) -> npt.NDArray[np.bool_]:
        """Which of `rows` are the first to hold their entry; rows ascend, `entries[row]` is a row's entry."""
        backwards = rows[::-1]
        self._mark[entries[backwards]] = backwards  # of repeated indices the last assignment stays
        mine: npt.NDArray[np.bool_] = self._mark[entries[rows]] == rows
        return mine

    def rounds(self, entries: Rows) -> Iterator[Rows]:
        """All rows, in rounds that hold each entry once: the k-th round has the k-th row of every entry."""
        pending = np.arange(len(entries))
        while len(pending):
            first = self.firsts(entries, pending)
            yield pending[first]
            pending = pending[~first]

    def keep(self, entries: Rows) -> None:
        """Drop all but these entries (ascending), which are numbered anew."""
        for name in ("_head", "_tail", *self.columns):
            setattr(self, name, getattr(self, name)[entries])
        self.size = len(entries)
        self._mark = np.zeros(self.size, np.int32)
        self._reindex(self.size)

    def _claim(self, head: Halves, tail: Halves, at: Rows, rows: Rows) -> npt.NDArray[np.int32]:
        """Make an entry in each vacant place; of several rows that want one place the last wins. The places' entries."""
        self._index[at] = rows
        won = self._index[at] == rows
        winners = rows[won]
        new = slice(self.size, self.size + len(winners))
        self._head[new], self._tail[new] = head[winners], tail[winners]
        self._index[at[won]] = np.arange(new.start, new.stop, dtype=np.int32)
        self.size = new.stop
        return self._index[at]

    def _reserve(self, more: int) -> None:
        needed = self.size + more
        if needed > len(self._head):
            capacity = max(_SMALLEST, needed, len(self._head) + len(self._head) // 4)
            for name in ("_head", "_tail", "_mark"):
                setattr(self, name, grown(getattr(self, name), capacity))
            for name, (_, new) in self.columns.items():
                setattr(self, name, grown(getattr(self, name), capacity, new))
        if needed > _FULLEST * len(self._index):
            self._reindex(needed)

    def _reindex(self, needed: int) -> None:
        places = _SMALLEST
        while needed > _FULLEST * places:
            places *= 2
        self._index = np.full(places, -1, np.int32)
        position = (_mix(self._head[: self.size], self._tail[: self.size]) & np.uint64(places - 1)).astype(np.intp)
        pending = np.arange(self.size)
        while len(pending):
            at = position[pending]
            vacant = self._index[at] < 0
            self._index[at[vacant]] = pending[vacant]
            pending = pending[self._index[at] != pending]
            position[pending] = (position[pending] + 1) & (places - 1)


def grown(array: npt.NDArray[Any], capacity: int, new: int = 0) -> npt.NDArray[Any]:
    """The array with room for so many, filled up with `new`."""
    wide = np.full(capacity, new, array.dtype)
    wide[: len(array)] = array
    return wide


def _mix(head: Halves, tail: Halves) -> Halves:
    h = head ^ (tail * _MIX_1)
    h ^= h >> np.uint64(30)
    h *= _MIX_1
    h ^= h >> np.uint64(27)
    h *= _MIX_2
    h ^= h >> np.uint64(31)
    return h
