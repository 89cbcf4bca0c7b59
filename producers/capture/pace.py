"""When each record of a capture is due: at the distance from the first that it had, divided by the speed. Pure."""

from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """Folds records' broker times, in the order of the replay."""

    speed: float
    """How many seconds of the capture pass in one."""
    _first: int | None = None
    _latest: int = 0

    def due(self, appended_at: int) -> float:
        """Seconds after the first record at which this one (its broker time, epoch ms) may go.

        Never before the one before it: a record that is dated earlier than its predecessors goes with them.
        """
        if self._first is None:
            self._first = self._latest = appended_at
        self._latest = max(self._latest, appended_at)
        return self.planned

    @property
    def planned(self) -> float:
        """Seconds from the first record to the latest so far; 0 before there are two."""
        return 0.0 if self._first is None else (self._latest - self._first) / 1000 / self.speed
