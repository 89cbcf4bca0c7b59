"""The ticks of a replayed log: the minimum of what the old partitions have shown. Pure.

A tick of T in one old partition says that everything before T has been sent *there*. A new partition holds users of
several old ones, so there it may only be said once all of them have said it.
"""

from dataclasses import dataclass

from pipeline.codec.records import EARLIEST_MS


@dataclass(slots=True)
class TickMinimum:
    """Folds the old partitions' ticks, in the order of the replay. All times are epoch ms, 0: none yet."""

    shown: list[int]
    """By old partition: its greatest tick, each capped by its broker time."""
    due: tuple[int, int] | None = None
    """The tick to be written before the next record: its clock, and the broker time of the record that moved it."""

    @property
    def clock(self) -> int:
        """The greatest tick that every old partition has shown."""
        return min(self.shown)

    def show(self, partition: int, clock: int, appended_at: int) -> None:
        """Take in one tick. Where it moves the minimum, that tick is due; one that was due and not written is implied by it,
        since no record lies between them."""
        before = self.clock
        self.shown[partition] = max(self.shown[partition], clock)
        if self.clock > before and self.clock >= EARLIEST_MS:
            self.due = (self.clock, appended_at)

    def take(self) -> tuple[int, int] | None:
        """The tick that is due, which is due no longer."""
        due, self.due = self.due, None
        return due
