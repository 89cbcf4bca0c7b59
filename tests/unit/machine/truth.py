"""What the source log means so far, by verify's fold, and what every derived record must therefore say."""

from collections import Counter
from collections.abc import Iterator

from pipeline.outcomes import LABELS, Outcome
from pipeline.settings import Settings
from pipeline.verify.columns import INTEGERS
from pipeline.verify.decode import Decoder
from pipeline.verify.finals import FinalList, final_lists
from pipeline.verify.recompute import PartitionFold, Recomputed, Record, recompute

_OFFSET, _FIRST = INTEGERS.index("source_offset"), INTEGERS.index("first_offset")
_TIME, _ARTIST = INTEGERS.index("event_time"), INTEGERS.index("artist_id")


class Truth:
    def __init__(self, settings: Settings) -> None:
        self.settings, self.rules = settings, settings.rules
        decoder = Decoder()
        self.folds = [PartitionFold(partition, self.rules, decoder) for partition in range(self.rules.partitions)]
        self.records: list[Record] = []
        self.originals: dict[tuple[int, int], Record] = {}

    def add(self, record: Record) -> None:
        self.folds[record.partition].add(*record[1:])
        self.records.append(record)
        self.originals[record.partition, record.offset] = record

    def events(self, partition: int) -> dict[int, tuple[str, int, int, int, bytes]]:
        """Offset → outcome, first offset, event time, artist, id of the partition's valid events."""
        rows = self.folds[partition].rows
        offsets, firsts, times, artists = (rows.integers[at] for at in (_OFFSET, _FIRST, _TIME, _ARTIST))
        return {
            offset: (LABELS[outcome], first, time, artist, bytes(rows.event_ids[16 * row : 16 * row + 16]))
            for row, (offset, first, time, artist, outcome) in enumerate(
                zip(offsets, firsts, times, artists, rows.outcomes, strict=True)
            )
        }

    def counts(self, partition: int, first: int, last: int) -> dict[str, int]:
        """How many of these offsets ended as what."""
        kinds = self.folds[partition].kinds[first : last + 1]
        return {label: kinds.count(code) for code, label in enumerate((*LABELS, "ticks", "absent"))}

    def invalid(self, partition: int, first: int, last: int) -> list[int]:
        kinds = self.folds[partition].kinds
        return [offset for offset in range(first, last + 1) if kinds[offset] == Outcome.INVALID]

    def watermark(self, partition: int, offset: int) -> int:
        """As of this offset, itself included; before the first 0."""
        return self.folds[partition].watermarks[offset] if offset >= 0 else 0

    def plays(self, partition: int, first: int, last: int) -> Counter[tuple[int, int]]:
        """(pane, artist) → accepted plays of these offsets."""
        return Counter(
            (time // self.rules.pane_ms * self.rules.pane_ms, artist)
            for offset, (outcome, _, time, artist, _) in self.events(partition).items()
            if outcome == "accepted" and first <= offset <= last
        )

    def finals(self, watermark: int) -> Iterator[FinalList]:
        """The lists that are final at this global watermark."""
        panes: dict[int, Counter[int]] = {}
        for fold in self.folds:
            for (pane, artist), plays in fold.panes.items():
                panes.setdefault(pane, Counter())[artist] += plays
        settings, rules = self.settings, self.rules
        return final_lists(
            panes,
            due=watermark - rules.grace_ms,
            pane_ms=rules.pane_ms,
            window_ms=settings.window_seconds * 1000,
            k=settings.top_k,
            shards=settings.shards,
        )

    def whole(self, ends: list[int]) -> Recomputed:
        """Everything once more, from the records."""
        settings, rules = self.settings, self.rules
        return recompute(
            self.records,
            ends=ends,
            rules=rules,
            window_ms=settings.window_seconds * 1000,
            top_k=settings.top_k,
            shards=settings.shards,
        )
