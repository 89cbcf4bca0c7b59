"""What a record of `plays` says of itself, parsed from its headers anew: ASCII `name: value`, numbers in decimal."""

import re
from dataclasses import dataclass

from pipeline.drills.oracles.reading import Raw

OUTCOMES = ("accepted", "duplicate", "late", "skipped", "suspect", "invalid")
PARTS = (*OUTCOMES, "ticks", "absent")
"""What the offsets of a range are divided into."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A valid record of `plays`: source offsets `first` to `last` (inclusive) and how many of them became what."""

    partition: int
    offset: int
    first: int
    last: int
    parts: dict[str, int]

    @property
    def rows(self) -> int:
        """Rows that its container must hold."""
        return sum(self.parts[name] for name in OUTCOMES)


def number(raw: Raw, name: str) -> int | None:
    """A header that is a decimal number; None where it is none, or is missing."""
    text = raw.headers.get(name)
    return int(text) if text is not None and re.fullmatch(rb"-?[0-9]{1,19}", text) else None


def batch_of(raw: Raw) -> Batch | None:
    """The batch, or None for a record that isn't valid where it lies: another writer's, whom every reader ignores."""
    found = {name: number(raw, name) for name in ("at", "first", "last", "watermark", *PARTS)}
    numbers = {name: value for name, value in found.items() if value is not None}
    if len(numbers) < len(found) or numbers["at"] != raw.offset:
        return None
    batch = Batch(raw.partition, raw.offset, numbers["first"], numbers["last"], {name: numbers[name] for name in PARTS})
    return batch if sum(batch.parts.values()) == batch.last - batch.first + 1 else None
