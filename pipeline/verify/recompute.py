"""The rules, once more: a fold over each partition's records, in order. Source: docs/design.md, "Time, windows, ranking".

Pure: no clock, no I/O. All times are integer epoch milliseconds.
"""

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pipeline.outcomes import Outcome
from pipeline.rules import Rules
from pipeline.verify.columns import Columns
from pipeline.verify.decode import Decoder
from pipeline.verify.finals import FinalList, final_lists
from pipeline.verify.partitioner import partition_of
from pipeline.verify.walk import InvalidEventError

TICK_HEADER = "listening-tick"
EARLIEST_TICK = 946_684_800_000
"""2000-01-01."""
TICK = len(Outcome)
"""What stands in `PartitionFold.kinds` for a tick; for an offset that holds no record: ABSENT."""
ABSENT = TICK + 1
_LONG_MAX = (1 << 63) - 1

Headers = list[tuple[str, bytes | None]] | None


class Record(NamedTuple):
    """One record of `playback-events`. `appended_at` is its timestamp, of whichever kind the topic has."""

    partition: int
    offset: int
    appended_at: int
    key: bytes | None
    value: bytes | None
    headers: Headers = None


def tick_of(headers: Headers) -> int | None:
    """The tick that a record without a value carries, uncapped; None where it carries none or a malformed one."""
    # Of several headers of one name Kafka clients take the last.
    text = next((value for name, value in reversed(headers or []) if name == TICK_HEADER), None)
    if not text or not text.isdigit():
        return None
    digits = text.lstrip(b"0")
    # Any number of digits is a number; one past 64 bits is only ever capped by the broker's time.
    tick = min(int(digits), _LONG_MAX) if 0 < len(digits) <= 19 else _LONG_MAX if digits else 0
    return tick if tick >= EARLIEST_TICK else None


@dataclass(slots=True)
class PartitionFold:
    """One partition's log so far: what became of each offset, and everything that follows from it."""

    partition: int
    rules: Rules
    decoder: Decoder
    unknown_then: frozenset[int] = frozenset()
    """Offsets whose schema the registry did not have when they were classified: it said no, and so they stay invalid."""
    watermark: int = 0
    kinds: bytearray = field(default_factory=bytearray)
    """By offset: an `Outcome`, TICK or ABSENT."""
    watermarks: "array[int]" = field(default_factory=lambda: array("q"))
    """By offset: the watermark including it."""
    rows: Columns = field(default_factory=Columns)
    """Every valid event."""
    invalid: dict[int, InvalidEventError] = field(default_factory=dict)
    """By offset: why, and the event id where it could be read."""
    panes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """(pane start, artist_id) → accepted plays."""
    remembered: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """event_id → (slot of played_at, offset): of several sightings the greatest slot, then the earliest."""
    reported: dict[tuple[int, int], list[tuple[int, str, int]]] = field(default_factory=dict)
    """(user_id, track_id) → (played_at, service, offset) of accepted rows that are no near-duplicates, in log order."""

    def add(self, offset: int, appended_at: int, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Fold the next record in. Offsets that are passed over hold no record."""
        self.pass_over(offset)
        if value is None and (tick := tick_of(headers)) is not None:
            self.watermark = max(self.watermark, min(tick, appended_at))
            kind = TICK
        else:
            try:
                kind = self._classify(offset, appended_at, key, value)
            except InvalidEventError as error:
                self.invalid[offset] = error.with_traceback(None)
                kind = Outcome.INVALID
        self.kinds.append(kind)
        self.watermarks.append(self.watermark)

    def pass_over(self, end: int) -> None:
        """Note that there is no record from here up to the offset `end`."""
        while len(self.kinds) < end:
            self.kinds.append(ABSENT)
            self.watermarks.append(self.watermark)

    def _classify(self, offset: int, appended_at: int, key: bytes | None, value: bytes | None) -> Outcome:
        """The rules in order, first that fits. Raises InvalidEventError before anything is touched."""
        rules = self.rules
        if value is None:
            raise InvalidEventError("no value, and no tick")
        event = self.decoder.decode(value, was_unknown=offset in self.unknown_then)
        event_id: bytes = event["event_id"]
        played_at: int = event["played_at"]
        if key != event["user_id"].to_bytes(8, "big"):
            raise InvalidEventError("the key is not its user_id", event_id)
        if partition_of(key, rules.partitions) != self.partition:
            raise InvalidEventError("misrouted: its key belongs to another partition", event_id)
        if played_at > appended_at + rules.max_ahead_ms:
            raise InvalidEventError("played_at is too far ahead of the broker's time", event_id)

        event_time = min(played_at, appended_at)
        self.watermark = max(self.watermark, event_time)
        horizon = self.watermark - rules.horizon_ms
        slot, seen = played_at // rules.slot_ms, self.remembered.get(event_id)
        first_offset = offset
        if played_at < horizon:
            outcome = Outcome.LATE
        elif seen is not None and seen[0] >= horizon // rules.slot_ms:
            outcome = Outcome.DUPLICATE
            first_offset = seen[1]
        elif event_time < self.watermark - rules.grace_ms:
            outcome = Outcome.LATE
        elif event["ms_played"] < rules.min_play_ms:
            outcome = Outcome.SKIPPED
        else:
            first_offset = self._nearest_report(event, offset)
            repeats = first_offset != offset and rules.near_duplicates == "drop"
            outcome = Outcome.SUSPECT if repeats else Outcome.ACCEPTED
        if outcome is Outcome.ACCEPTED:
            self.panes[event_time // rules.pane_ms * rules.pane_ms, event["artist_id"]] += 1
        if outcome is not Outcome.DUPLICATE and (seen is None or slot > seen[0]):
            self.remembered[event_id] = (slot, offset)
        self.rows.add(offset, first_offset, appended_at, event_time, event, outcome)
        return outcome

    def _nearest_report(self, event: dict[str, Any], offset: int) -> int:
        """The offset of the row whose listen another service reports here: the nearest, then the earliest; else its own."""
        rules, played_at, service = self.rules, event["played_at"], event["service"]
        if rules.near_duplicates == "off":
            return offset
        group = event["user_id"], event["track_id"]
        near = [
            (abs(played_at - other), place)
            for other, by, place in self.reported.get(group, ())
            if by != service and abs(played_at - other) <= rules.near_tolerance_ms
        ]
        if near:
            return min(near)[1]
        # What every later event would be late beside is let go, or a robot's plays would be looked through for ever.
        oldest = self.watermark - rules.grace_ms - rules.near_tolerance_ms
        kept = [row for row in self.reported.get(group, ()) if row[0] >= oldest]
        self.reported[group] = [*kept, (played_at, service, offset)]
        return offset


@dataclass(slots=True)
class Recomputed:
    """What the log up to the snapshot means. `ends`: the offset after the last, of each partition."""

    rules: Rules
    window_ms: int
    top_k: int
    shards: int
    ends: list[int]
    folds: list[PartitionFold]

    @property
    def watermark(self) -> int:
        """The global watermark: of a partition not heard from it is 0."""
        return min(fold.watermark for fold in self.folds)

    @property
    def due(self) -> int:
        """The latest instant at which a window that ended is final."""
        return self.watermark - self.rules.grace_ms

    def finals(self) -> Iterator[FinalList]:
        """The final list of every window and shard that holds a play, by window end, then shard."""
        panes: dict[int, Counter[int]] = {}
        for fold in self.folds:
            for (pane, artist), plays in fold.panes.items():
                panes.setdefault(pane, Counter())[artist] += plays
        return final_lists(
            panes, due=self.due, pane_ms=self.rules.pane_ms, window_ms=self.window_ms, k=self.top_k, shards=self.shards
        )

    def count(self, kind: int) -> int:
        """How many offsets ended as this: an Outcome, TICK or ABSENT."""
        return sum(fold.kinds.count(kind) for fold in self.folds)


def recompute(
    records: Iterable[Record],
    *,
    ends: list[int],
    rules: Rules,
    window_ms: int,
    top_k: int,
    shards: int,
    decoder: Decoder | None = None,
    unknown_then: Collection[tuple[int, int]] = (),
) -> Recomputed:
    """Fold the records of every partition's [0, end); those of one partition come in the order of their offsets.

    `unknown_then`: (partition, offset) of records whose schema the registry did not have when they were classified.
    """
    decoder = decoder or Decoder()
    offsets: dict[int, set[int]] = {}
    for partition, offset in unknown_then:
        offsets.setdefault(partition, set()).add(offset)
    folds = [
        PartitionFold(partition, rules, decoder, frozenset(offsets.get(partition, ())))
        for partition in range(rules.partitions)
    ]
    adds = [fold.add for fold in folds]
    for partition, offset, appended_at, key, value, headers in records:
        adds[partition](offset, appended_at, key, value, headers)
    for fold, end in zip(folds, ends, strict=True):
        fold.pass_over(end)
        fold.reported.clear()
        fold.remembered.clear()  # the largest part of the memory, and not needed once the log is read
    return Recomputed(rules, window_ms, top_k, shards, ends, folds)
