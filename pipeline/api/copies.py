"""Duplicates by kind: a fold over source offsets, so many at a time.

1. a sparse clock of each partition: the greatest event time up to every SLOT-th offset
2. each duplicate beside its first sighting: same sent_at or not, and how far the clock had gone on
"""

from array import array
from collections import Counter
from collections.abc import Mapping

from pipeline.api.documents import Kind
from pipeline.settings import Settings
from pipeline.store.ask import Asked

KINDS: tuple[Kind, ...] = ("retry", "resent", "replayed", "cross_service", "unknown_first")
SLOT = 256
"""Offsets for which one instant stands; a partition of a billion takes 31 MB."""
AT_ONCE = 50_000
"""Offsets a look, over all partitions: some 50 ms of CPU where a tenth are copies."""
REPLAYED_MS = 600_000
"""A copy that comes so long after its first sighting, by the partition's clock, was replayed by somebody."""


class CopyFold:
    """`counts`: kind → how many, of the offsets that were read.

    retry: the same sent_at as the first sighting; resent: another; replayed: either, but ten minutes or more later (an
    upstream that replays sends the same bytes); cross_service: near-duplicates, another service's report of a listen;
    unknown_first: the first sighting was skipped, and what is skipped is not stored.
    """

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self.counts: Counter[str] = Counter()
        self._at_once = at_once
        self._next: dict[int, int] = {}
        self._clocks: dict[int, Clock] = {}

    def pending(self, ends: Mapping[int, int]) -> int:
        """Offsets below `ends` (partition → offset after the last stored) that were not read."""
        return sum(end - self._next.get(partition, 0) for partition, end in ends.items())

    def read(self, settings: Settings, asked: Asked, ends: Mapping[int, int]) -> None:
        """Take in some more, up to `ends`. Raises UnavailableError, and then nothing was taken."""
        new = {
            partition: self._next.get(partition, 0) for partition, end in ends.items() if end > self._next.get(partition, 0)
        }
        if not new:
            return
        step = max(1, self._at_once // len(new))
        ranges = {partition: (start, min(ends[partition], start + step)) for partition, start in new.items()}
        where = " OR ".join(
            f"(source_partition = {p} AND source_offset >= {start} AND source_offset < {end})"
            for p, (start, end) in ranges.items()
        )
        slots, pairs = asked(settings, _slots(where)), asked(settings, _pairs(where))
        for row in slots:
            self._clocks.setdefault(row["partition"], Clock()).move(row["slot"], row["clock"])
            self.counts["cross_service"] += row["near"]
        for row in pairs:
            clock = self._clocks.get(row["partition"], Clock())
            apart = clock.at(row["slot"]) - clock.at(row["first_slot"])
            is_far = row["kind"] != "unknown_first" and apart >= REPLAYED_MS
            self.counts["replayed" if is_far else row["kind"]] += row["copies"]
        self._next |= {partition: end for partition, (_, end) in ranges.items()}


class Clock:
    """The greatest event time (epoch ms) of the offsets up to the end of each slot."""

    def __init__(self) -> None:
        self._first, self._times = 0, array("q")

    def move(self, slot: int, time: int) -> None:
        """Slots come in ascending order; the last one may come again."""
        if not self._times:
            self._first = slot
            self._times.append(time)
        while self._first + len(self._times) <= slot:
            self._times.append(self._times[-1])
        self._times[-1] = max(self._times[-1], time)

    def at(self, slot: int) -> int:
        """The clock there; of a slot beyond what is known, the nearest."""
        return self._times[min(max(slot - self._first, 0), len(self._times) - 1)] if self._times else 0


def _slots(where: str) -> str:
    """Duplicates move the clock, too: nothing else may lie there."""
    return f"""
        SELECT partition, slot, max(clock) AS clock, sum(near) AS near FROM
        (
            SELECT source_partition AS partition, intDiv(source_offset, {SLOT}) AS slot,
                toUnixTimestamp64Milli(max(event_time)) AS clock, countIf(suspect_of IS NOT NULL) AS near
            FROM plays FINAL WHERE {where} GROUP BY partition, slot
            UNION ALL
            SELECT source_partition AS partition, intDiv(source_offset, {SLOT}) AS slot,
                toUnixTimestamp64Milli(max(event_time)) AS clock, 0 AS near
            FROM duplicates WHERE {where} GROUP BY partition, slot
        )
        GROUP BY partition, slot ORDER BY partition, slot
        """


def _pairs(where: str) -> str:
    return f"""
        SELECT source_partition AS partition, intDiv(copy.first_offset, {SLOT}) AS first_slot,
            intDiv(copy.source_offset, {SLOT}) AS slot,
            multiIf(NOT found, 'unknown_first', copy.sent_at = first.sent_at, 'retry', 'resent') AS kind, count() AS copies
        FROM (SELECT source_partition, source_offset, first_offset, sent_at FROM duplicates FINAL WHERE {where}) AS copy
        ANY LEFT JOIN
        (
            SELECT source_partition, source_offset AS first_offset, sent_at, true AS found FROM plays
            WHERE (source_partition, source_offset) IN
                (SELECT source_partition, first_offset FROM duplicates WHERE {where})
        ) AS first USING (source_partition, first_offset)
        GROUP BY partition, first_slot, slot, kind
        """
