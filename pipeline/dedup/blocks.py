"""Numbers for entries, in blocks of one slot each: a slot that is over gives its blocks back, whatever is in them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pipeline.dedup.index import Longs, Rows

Slots = npt.NDArray[np.int32]

BITS = 8
"""A block has 2^BITS entries: with 24 bytes each a slot of few ids costs 6 KiB."""
_NEVER = 2**31


@dataclass(slots=True)
class _Slot:
    blocks: list[Rows] = field(default_factory=list)
    size: int = 0
    next: int = 0
    """The free numbers of its newest block: from here on"""
    end: int = 0
    """up to here."""


class Blocks:
    """Which slot's entries have which numbers. Numbers are given anew once their slot was dropped."""

    def __init__(self) -> None:
        self.used = 0
        """Numbers in use are below this."""
        self._slots: dict[int, _Slot] = {}
        self._oldest = _NEVER
        self._slot = np.zeros(1, np.int32)  # by block
        self._end = np.zeros(1, np.int64)  # by block: the number after its last entry, 0 where it is free
        self._free = np.zeros(0, np.intp)  # free blocks below `used`, the lowest last

    @property
    def nbytes(self) -> int:
        """Bytes held, without what is held for each slot."""
        return int(self._slot.nbytes + self._end.nbytes)

    def slot(self, number: Longs) -> Slots:
        """The slots of entries."""
        slots: Slots = self._slot[number >> BITS]
        return slots

    def holds(self, number: Longs) -> npt.NDArray[np.bool_]:
        """Which of these are numbers of entries now; any may be asked."""
        holds: npt.NDArray[np.bool_] = number < self._end.take(number >> BITS, mode="clip")
        return holds

    def numbers(self, most: int) -> Iterator[Longs]:
        """The numbers of all entries, at most so many at a time."""
        blocks = np.flatnonzero(self._end)
        for start in range(0, len(blocks), most >> BITS):
            numbers = _numbers_of(blocks[start : start + (most >> BITS)])
            yield numbers[self.holds(numbers)]

    def take(self, slot: Slots) -> Longs:
        """Numbers for new entries in these slots."""
        numbers = np.empty(len(slot), np.int64)
        if not len(slot):
            return numbers
        lowest = int(slot.min())
        if lowest == slot.max():
            return self._take(lowest, len(slot))
        above = slot - lowest
        order = np.argsort(above.astype(np.uint16) if above.max() < 2**16 else slot, kind="stable")  # 16 bits: radix sort
        ordered = slot[order]
        for start, stop in pairwise([0, *(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1).tolist(), len(order)]):
            numbers[order[start:stop]] = self._take(int(ordered[start]), stop - start)
        return numbers

    def leave(self, number: Longs) -> None:
        """These are entries no more, for the count; their numbers aren't given anew before their slot was dropped."""
        for slot in self.slot(number).tolist():
            self._slots[slot].size -= 1

    def drop_below(self, slot: int) -> int:
        """Give back the blocks of earlier slots. How many entries these had."""
        if slot <= self._oldest:
            return 0
        dropped = [self._slots.pop(one) for one in [one for one in self._slots if one < slot]]
        for one in dropped:
            self._end[np.concatenate(one.blocks)] = 0
        self._oldest = min(self._slots, default=_NEVER)
        taken = np.flatnonzero(self._end)
        blocks = int(taken[-1]) + 1 if len(taken) else 0
        self._free = np.flatnonzero(self._end[:blocks] == 0)[::-1]
        self.used = blocks << BITS
        return sum(one.size for one in dropped)

    def _take(self, slot: int, count: int) -> Longs:
        of = self._slots.setdefault(slot, _Slot())
        of.size += count
        self._oldest = min(self._oldest, slot)
        begun = np.arange(of.next, min(of.next + count, of.end))
        if len(begun):
            of.next += len(begun)
            self._end[begun[0] >> BITS] = of.next
        if len(begun) == count:
            return begun
        blocks = self._take_blocks(-((len(begun) - count) >> BITS))
        of.blocks.append(blocks)
        numbers = _numbers_of(blocks)[: count - len(begun)]
        of.next, of.end = int(numbers[-1]) + 1, (int(blocks[-1]) + 1) << BITS
        self._slot[blocks], self._end[blocks] = slot, (blocks + 1) << BITS
        self._end[blocks[-1]] = of.next
        return np.concatenate([begun, numbers])

    def _take_blocks(self, count: int) -> Rows:
        """The lowest free blocks."""
        again, known = self._free[-count:][::-1], self.used >> BITS
        self._free = self._free[: len(self._free) - len(again)]
        new = np.arange(known, known + count - len(again))
        known += len(new)
        self.used = known << BITS
        if known > len(self._end):
            more = known + known // 8 - len(self._end)
            self._slot, self._end = np.pad(self._slot, (0, more)), np.pad(self._end, (0, more))
        return np.concatenate([again, new])


def _numbers_of(blocks: Rows) -> Longs:
    return ((blocks[:, np.newaxis] << BITS) + np.arange(1 << BITS)).ravel()
