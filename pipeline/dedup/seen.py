"""Remembered event ids.

An entry is 32 bytes in dense columns and 4 in the index, so an id costs 39 to 54 bytes; a dictionary of 16-byte keys costs
about 150.
"""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.dedup.table import Halves, Longs, Rows, Table

NEVER = -(2**31)
"""Slot of an entry that was made but not yet seen."""


class Seen(Table):
    """Id → (slot of its latest sighting's played_at, source offset of that sighting)."""

    columns: ClassVar = {"slot": (np.int32, NEVER), "offset": (np.int64, -1)}
    slot: npt.NDArray[np.int32]
    offset: Longs

    def remember(self, head: Halves, tail: Halves, slot: npt.NDArray[np.int32], offset: Longs) -> None:
        """Fold sightings in, in log order: the latest slot stands, of equal slots the earliest offset."""
        entries = self.entries(head, tail)
        for rows in self.rounds(entries):
            self.sight(entries[rows], slot[rows], offset[rows])

    def sight(self, entries: Rows, slot: npt.NDArray[np.int32], offset: Longs) -> None:
        """Note sightings of different entries: a later slot replaces what was there."""
        later = slot > self.slot[entries]
        self.slot[entries[later]] = slot[later]
        self.offset[entries[later]] = offset[later]

    def forget_below(self, slot: int) -> None:
        """Drop what was last seen in an earlier slot. Housekeeping: no outcome depends on when this is called."""
        self.keep(np.flatnonzero(self.slot[: self.size] >= slot))
