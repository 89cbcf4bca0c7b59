"""Remembered event ids, in blocks of one slot of played_at each: a slot that is over gives its blocks back unread.

An id is 24 bytes in columns and 7 to 20 in the index. The index goes on naming entries of blocks that were given back, until
it is made anew; they aren't believed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.dedup.index import Halves, Longs, Rows
from pipeline.dedup.table import CHUNK, Flags, Probe, Table

Slots = npt.NDArray[np.int32]

_BITS = 8
_BLOCK = 1 << _BITS
_MOVED = -1
"""Offset of an entry whose id has another one, in a later slot."""
_NEVER = 2**31


@dataclass(slots=True)
class _Slot:
    """`next` to `end`: the free entries of its newest block."""

    blocks: list[Rows] = field(default_factory=list)
    size: int = 0
    next: int = 0
    end: int = 0


class Seen(Table):
    """Id → (slot of its latest sighting's played_at, source offset of that sighting)."""

    columns: ClassVar = {**Table.columns, "offset": np.int64}
    offset: Longs

    def __init__(self) -> None:
        super().__init__()
        self._slots: dict[int, _Slot] = {}
        self._oldest = _NEVER
        self._slot = np.zeros(1, np.int32)  # by block
        self._end = np.zeros(1, np.int64)  # by block: the number after its last entry, 0 where the block is free
        self._free = np.zeros(0, np.intp)  # free blocks below `_blocks`, the lowest last
        self._blocks = 0

    @property
    def nbytes(self) -> int:
        """Bytes held, unused capacity included."""
        return super().nbytes + self._slot.nbytes + self._end.nbytes

    def sight(self, head: Halves, tail: Halves, slot: Slots, offset: Longs) -> Probe:
        """Find these ids, and remember those that aren't yet: of several sightings the first."""
        probe = self.find(head, tail)
        numbers = self._take(slot[probe.made])
        self.enter(probe, numbers, head, tail)
        self.offset[numbers] = offset[probe.made]
        return probe

    def slot(self, entry: Longs) -> Slots:
        """The slots of entries."""
        slots: Slots = self._slot[entry >> _BITS]
        return slots

    def move(self, entry: Longs, place: Rows, slot: Slots, offset: Longs) -> None:
        """Replace different entries by sightings in later slots; `place` is theirs by the last probe."""
        numbers = self._take(slot)
        for was in self.slot(entry).tolist():
            self._slots[was].size -= 1
        self._head[numbers], self._tail[numbers], self.offset[numbers] = self._head[entry], self._tail[entry], offset
        self.offset[entry] = _MOVED
        self._index.numbers[place] = numbers.astype(np.uint32)

    def remember(self, head: Halves, tail: Halves, slot: Slots, offset: Longs, oldest: int = -_NEVER) -> None:
        """Fold sightings in, in log order: the latest slot stands, of equal slots the earliest offset.

        Those before the slot `oldest` are left out: nothing can be a copy of them any more.
        """
        if len(slot) and slot.min() < oldest:
            new = slot >= oldest
            head, tail, slot, offset = head[new], tail[new], slot[new], offset[new]
        probe = self.sight(head, tail, slot, offset)
        rows = probe.others[slot[probe.others] > self.slot(probe.entry[probe.others])]
        if len(rows):
            # By entry, then the latest slot, then the earliest row: the first of each entry stands.
            rows = rows[np.lexsort((rows, -slot[rows].astype(np.int64), probe.entry[rows]))]
            entry, first = np.unique(probe.entry[rows], return_index=True)
            rows = rows[first]
            self.move(entry, probe.place[rows], slot[rows], offset[rows])

    def forget_below(self, slot: int) -> None:
        """Drop what was last seen in an earlier slot. Housekeeping: no outcome depends on when this is called."""
        if slot <= self._oldest:
            return
        for old in [old for old in self._slots if old < slot]:
            dropped = self._slots.pop(old)
            self.size -= dropped.size
            self._end[np.concatenate(dropped.blocks)] = 0
        self._oldest = min(self._slots, default=_NEVER)
        used = np.flatnonzero(self._end)
        self._blocks = int(used[-1]) + 1 if len(used) else 0
        self._free = np.flatnonzero(self._end[: self._blocks] == 0)[::-1]
        self._give_back()

    def _give_back(self) -> None:
        """Return memory once most of it is unused, as after a spike; in all other cases it is used again."""
        if self.capacity > 4 * (self._blocks + 1) * _BLOCK:
            self.resize((self._blocks + 1) * _BLOCK)
        self.shrink()

    def _live(self, entry: Longs) -> Flags:
        live: Flags = entry < self._end.take(entry >> _BITS, mode="clip")
        live[live] = self.offset[entry[live]] != _MOVED
        return live

    def entries(self) -> Iterator[Longs]:
        """All entries, some at a time."""
        blocks = np.flatnonzero(self._end)
        for start in range(0, len(blocks), CHUNK >> _BITS):
            numbers = _entries_of(blocks[start : start + (CHUNK >> _BITS)])
            yield numbers[self._live(numbers)]

    def _take(self, slot: Slots) -> Longs:
        """Numbers for new entries in these slots."""
        numbers = np.empty(len(slot), np.int64)
        if not len(slot):
            return numbers
        low = int(slot.min())
        if low == slot.max():
            return self._take_of(low, len(slot))
        near = slot - low
        order = np.argsort(near.astype(np.uint16) if near.max() < 2**16 else slot, kind="stable")  # 16 bits: radix sort
        ordered = slot[order]
        starts = [0, *(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1).tolist(), len(order)]
        for start, stop in pairwise(starts):
            numbers[order[start:stop]] = self._take_of(int(ordered[start]), stop - start)
        return numbers

    def _take_of(self, slot: int, count: int) -> Longs:
        if (of := self._slots.get(slot)) is None:
            of = self._slots[slot] = _Slot()
            self._oldest = min(self._oldest, slot)
        of.size += count
        begun = np.arange(of.next, min(of.next + count, of.end))
        of.next += len(begun)
        if len(begun):
            self._end[begun[0] >> _BITS] = of.next
        if len(begun) == count:
            return begun
        blocks = self._take_blocks(-((len(begun) - count) >> _BITS))
        of.blocks.append(blocks)
        numbers = _entries_of(blocks)[: count - len(begun)]
        of.next, of.end = int(numbers[-1]) + 1, (int(blocks[-1]) + 1) << _BITS
        self._slot[blocks] = slot
        self._end[blocks] = (blocks + 1) << _BITS
        self._end[blocks[-1]] = of.next
        return np.concatenate([begun, numbers])

    def _take_blocks(self, count: int) -> Rows:
        """The lowest free blocks."""
        again = self._free[-count:][::-1] if len(self._free) else self._free
        self._free = self._free[: len(self._free) - len(again)]
        new = np.arange(self._blocks, self._blocks + count - len(again))
        self._blocks += len(new)
        self.widen(self._blocks << _BITS)
        if self._blocks > len(self._end):
            more = (self.capacity >> _BITS) - len(self._end)
            self._slot, self._end = np.pad(self._slot, (0, more)), np.pad(self._end, (0, more))
        return np.concatenate([again, new])


def _entries_of(blocks: Rows) -> Longs:
    return ((blocks[:, np.newaxis] << _BITS) + np.arange(_BLOCK)).ravel()
