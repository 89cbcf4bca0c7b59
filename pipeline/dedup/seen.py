"""Remembered event ids: an open-addressing hash table over columns, probed a batch at a time.

Each id is two unsigned 64-bit halves. An entry is 32 bytes in dense arrays that grow by a quarter, and 4 bytes in an index
that is 30 to 60% full, so an id costs 39 to 54 bytes; a dictionary of 16-byte keys costs about 150.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.uint64]
Longs = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]

NEVER = -(2**31)
"""Slot of an entry that was made but not yet seen."""
_FULLEST = 0.6
_SMALLEST = 1024
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)  # splitmix64's


class Seen:
    """Id → (slot of its latest sighting's played_at, source offset of that sighting)."""

    def __init__(self) -> None:
        self.size = 0
        self._head = np.zeros(0, np.uint64)
        self._tail = np.zeros(0, np.uint64)
        self.slot = np.zeros(0, np.int32)
        self.offset = np.zeros(0, np.int64)
        self._mark = np.zeros(0, np.int32)
        self._index = np.full(_SMALLEST, -1, np.int32)

    @property
    def nbytes(self) -> int:
        """Bytes held, unused capacity included."""
        arrays = (self._head, self._tail, self.slot, self.offset, self._mark, self._index)
        return sum(array.nbytes for array in arrays)

    def entries(self, head: Ids, tail: Ids) -> Rows:
        """The entry of each id, made (slot NEVER) where there is none yet. Valid until the next `forget_below`."""
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

    def _claim(self, head: Ids, tail: Ids, at: Rows, rows: Rows) -> npt.NDArray[np.int32]:
        """Make an entry in each vacant place; of several rows that want one place the last wins. The places' entries."""
        self._index[at] = rows
        won = self._index[at] == rows
        winners = rows[won]
        new = slice(self.size, self.size + len(winners))
        self._head[new], self._tail[new] = head[winners], tail[winners]
        self.slot[new], self.offset[new] = NEVER, -1
        self._index[at[won]] = np.arange(new.start, new.stop, dtype=np.int32)
        self.size = new.stop
        return self._index[at]

    def firsts(self, entries: Rows, rows: Rows) -> npt.NDArray[np.bool_]:
        """Which of `rows` are the first to hold their entry; rows ascend, `entries[row]` is a row's entry."""
        backwards = rows[::-1]
        self._mark[entries[backwards]] = backwards  # of repeated indices the last assignment stays
        mine: npt.NDArray[np.bool_] = self._mark[entries[rows]] == rows
        return mine

    def remember(self, head: Ids, tail: Ids, slot: npt.NDArray[np.int32], offset: Longs) -> None:
        """Fold sightings in, in log order: the latest slot stands, of equal slots the earliest offset."""
        entries = self.entries(head, tail)
        for rows in self.rounds(entries):
            self.sight(entries[rows], slot[rows], offset[rows])

    def sight(self, entries: Rows, slot: npt.NDArray[np.int32], offset: Longs) -> None:
        """Note sightings of different entries: a later slot replaces what was there."""
        later = slot > self.slot[entries]
        self.slot[entries[later]] = slot[later]
        self.offset[entries[later]] = offset[later]

    def rounds(self, entries: Rows) -> Iterator[Rows]:
        """All rows, in rounds that hold each entry once: the k-th round has the k-th row of every entry."""
        pending = np.arange(len(entries))
        while len(pending):
            first = self.firsts(entries, pending)
            yield pending[first]
            pending = pending[~first]

    def forget_below(self, slot: int) -> None:
        """Drop what was last seen in an earlier slot. Housekeeping: no outcome depends on when this is called."""
        keep = np.flatnonzero(self.slot[: self.size] >= slot)
        self._resize(len(keep), keep)

    def _reserve(self, more: int) -> None:
        needed = self.size + more
        if needed > len(self._head):
            capacity = max(_SMALLEST, needed, len(self._head) + len(self._head) // 4)
            for name in ("_head", "_tail", "slot", "offset", "_mark"):
                setattr(self, name, _grown(getattr(self, name), capacity))
        if needed > _FULLEST * len(self._index):
            self._reindex(needed)

    def _resize(self, size: int, keep: Rows) -> None:
        for name in ("_head", "_tail", "slot", "offset"):
            setattr(self, name, getattr(self, name)[keep])
        self._mark = np.zeros(size, np.int32)
        self.size = size
        self._reindex(size)

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


def _grown(array: npt.NDArray[Any], capacity: int) -> npt.NDArray[Any]:
    grown = np.zeros(capacity, array.dtype)
    grown[: len(array)] = array
    return grown


def _mix(head: Ids, tail: Ids) -> Ids:
    h = head ^ (tail * _MIX_1)
    h ^= h >> np.uint64(30)
    h *= _MIX_1
    h ^= h >> np.uint64(27)
    h *= _MIX_2
    h ^= h >> np.uint64(31)
    return h
