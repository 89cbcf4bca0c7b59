"""Records that are made and not yet due, in memory as columns."""

import numpy as np

from producers.columns import Columns, join, take


class Waiting:
    """Gives back records in order of `true_sent_at`, of equal ones those first that came first.

    Two shelves: what is due within `block_ms` is sorted step by step; what is due later isn't touched until then.
    """

    def __init__(self, start: int, block_ms: int) -> None:
        self._block_ms = block_ms
        self._near: list[Columns] = []
        self._far: list[Columns] = []
        self._near_until = start

    def add(self, records: Columns) -> None:
        """Records that are due from the next `until` on."""
        far = records["true_sent_at"] >= self._near_until
        if far.any():
            self._far.append(take(records, far))
            records = take(records, ~far)
        self._near.append(records)

    def until(self, instant: int) -> Columns:
        """All records due before this instant (epoch ms), which only grows; something has been added before."""
        while self._near_until < instant:
            self._near_until += self._block_ms
            far, self._far = self._far, []
            if far:
                self.add(join(far))
        records = join(self._near)
        records = take(records, np.argsort(records["true_sent_at"], kind="stable"))
        ready = int(np.searchsorted(records["true_sent_at"], instant))
        self._near = [take(records, slice(ready, None))]
        return take(records, slice(ready))
