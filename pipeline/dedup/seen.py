"""Remembered event ids.

An id is 24 bytes in columns, and in the index 7 to 14, up to 20 where as many go as come. Ids of a slot that is over are
dropped unread: the index goes on naming their entries until it is made anew, and isn't believed.
"""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from pipeline.dedup.blocks import Blocks, Slots
from pipeline.dedup.index import Halves, Longs, Rows
from pipeline.dedup.table import CHUNK, Flags, Probe, Table

_MOVED = -1
"""Offset of an entry whose id has another one, in a later slot."""


class Seen(Table):
    """Id → (slot of its latest sighting's played_at, source offset of that sighting)."""

    columns: ClassVar = {**Table.columns, "offset": np.int64}
    offset: Longs

    def __init__(self) -> None:
        super().__init__()
        self._blocks = Blocks()

    @property
    def nbytes(self) -> int:
        """Bytes held, unused capacity included."""
        return super().nbytes + self._blocks.nbytes

    def slot(self, entry: Longs) -> Slots:
        """The slots of entries."""
        return self._blocks.slot(entry)

    def entries(self) -> Iterator[Longs]:
        """All entries, some at a time."""
        for numbers in self._blocks.numbers(CHUNK):
            yield numbers[self.offset[numbers] != _MOVED]

    def sight(self, head: Halves, tail: Halves, slot: Slots, offset: Longs) -> Probe:
        """Find these ids, and remember those that aren't yet: of several sightings the first."""
        probe = self.find(head, tail)
        numbers = self._number(slot[probe.made])
        self.enter(probe, numbers, head, tail)
        self.offset[numbers] = offset[probe.made]
        return probe

    def move(self, entry: Longs, place: Rows, slot: Slots, offset: Longs) -> None:
        """Replace different entries by sightings in later slots; `place` is theirs by the last probe."""
        numbers = self._number(slot)
        self._blocks.leave(entry)
        self._head[numbers], self._tail[numbers], self.offset[numbers] = self._head[entry], self._tail[entry], offset
        self.offset[entry] = _MOVED
        self._index.numbers[place] = numbers.astype(np.uint32)

    def remember(self, head: Halves, tail: Halves, slot: Slots, offset: Longs, oldest: int = -(2**31)) -> None:
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
        dropped = self._blocks.drop_below(slot)
        if not dropped:
            return
        self.size -= dropped
        # After a spike memory is given back; else it is used again.
        if self.capacity > 4 * (self._blocks.used + CHUNK):
            self.resize(self._blocks.used + CHUNK)
        self.shrink()

    def _number(self, slot: Slots) -> Longs:
        """Numbers for new entries in these slots, with room for them."""
        numbers = self._blocks.take(slot)
        self.widen(self._blocks.used)
        return numbers

    def _live(self, number: Longs) -> Flags:
        # An entry that was moved isn't met: the place by which it would be found first names the one in the later slot.
        return self._blocks.holds(number)
