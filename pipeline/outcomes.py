"""What becomes of an event: every record of the source ends as exactly one of these."""

from enum import IntEnum


class Outcome(IntEnum):
    """Outcome codes. `plays` carries the lower-case name, the order here is the order of the columns in `batches`."""

    ACCEPTED = 0
    DUPLICATE = 1
    LATE = 2
    SKIPPED = 3
    SUSPECT = 4
    INVALID = 5

    @property
    def label(self) -> str:
        return self.name.lower()


LABELS: tuple[str, ...] = tuple(outcome.label for outcome in Outcome)
