"""A source log that grows by what the machine thinks of: plays, copies, reports of other services, ticks, poison, holes."""

from typing import Any

from pipeline.settings import Settings
from pipeline.topics import topics_of
from pipeline.verify.partitioner import partition_of
from pipeline.verify.recompute import Record
from tests.unit.batches import NOON, Item, batch_bytes, body_of, event, framed, record, tick
from tests.unit.machine.broker import Broker
from tests.unit.machine.truth import Truth

Entry = tuple[Any, ...]
POISON = ("garbage", "magic", "schema", "null", "key", "misrouted", "ahead", "bytes left")


def users(partition: int, partitions: int) -> list[int]:
    """Three users whose key lies in the partition."""
    found = [user for user in range(1, 60) if partition_of(user.to_bytes(8, "big"), partitions) == partition]
    return found[:3]


class Source:
    """Appends to the log, and tells the truth what was appended."""

    def __init__(self, settings: Settings, broker: Broker, truth: Truth) -> None:
        self._settings, self._broker, self._truth = settings, broker, truth
        self._topic = topics_of(settings).events.name
        count = settings.partitions
        self.clocks = [NOON] * count
        self._users = [users(partition, count) for partition in range(count)]
        self._sent: list[list[dict[str, Any]]] = [[] for _ in range(count)]
        self._number = 0

    def append(self, partition: int, entries: list[Entry], hole: int = 0) -> None:
        """One batch; `hole`: how many offsets before it hold no record."""
        items, stamps = [], []
        for entry in entries:
            items.append(self._item(partition, *entry))
            stamps.append(self.clocks[partition])
        base = self._broker.ends[partition] + hole
        by_broker = self._settings.append_time
        raw = batch_bytes(items, base, timestamps=stamps, append_time=stamps[-1] if by_broker else None)
        self.take(partition, base, raw, items, [stamps[-1]] * len(items) if by_broker else stamps)

    def take(self, partition: int, base: int, raw: bytes, items: list[Item], stamps: list[int]) -> None:
        last = base + len(items) - 1
        self._broker.batches[partition].append((base, last, raw))
        self._broker.ends[partition] = last + 1
        for offset, ((key, value, headers), stamp) in enumerate(zip(items, stamps, strict=True), base):
            self._truth.add(Record(partition, offset, stamp, key, value, headers))  # type: ignore[arg-type]

    def tick_all(self, advance: int) -> None:
        """All partitions' clocks to the same time, and a tick that says so."""
        now = max(self.clocks) + advance * 1000
        for partition in range(len(self.clocks)):
            self.clocks[partition] = now
            self.append(partition, [("tick", 0)])

    def _item(self, partition: int, kind: str, *details: int) -> Item:
        match kind:
            case "play":
                advance, ago, user, artist, track, service, ms_played = details
                self.clocks[partition] += advance * 1000
                return self._remembered(
                    partition,
                    played_at=self.clocks[partition] - ago * 1000,
                    user_id=self._users[partition][user],
                    artist_id=artist,
                    track_id=track,
                    service=("listening", "other")[service],
                    ms_played=ms_played,
                )
            case "copy":
                sent = self._sent[partition]
                return record(sent[-1 - details[0] % len(sent)]) if sent else tick(self.clocks[partition])
            case "near":
                if not self._sent[partition]:
                    return tick(self.clocks[partition])
                sent = self._sent[partition]
                like = sent[-1 - details[0] % len(sent)]
                played_at = like["played_at"] + details[1] * 1000
                other = {"listening": "other", "other": "listening"}[like["service"]]
                return self._remembered(partition, **like | {"service": other, "played_at": played_at})
            case "tick":
                self.clocks[partition] += details[0] * 1000
                return tick(self.clocks[partition])
        return self._poison(partition, POISON[details[0]])

    def _remembered(self, partition: int, **changes: Any) -> Item:
        self._number += 1
        made = event(**changes | {"event_id": self._number.to_bytes(16, "big"), "sent_at": changes["played_at"] + 100})
        self._sent[partition].append(made)
        return record(made)

    def _poison(self, partition: int, kind: str) -> Item:
        self._number += 1
        now = self.clocks[partition]
        fields = event(self._number, played_at=now, user_id=self._users[partition][0])
        key, value, headers = record(fields, [("trace", b"1")])
        match kind:
            case "garbage":
                return key, framed(b"\xff" * 9), headers
            case "magic":
                return key, framed(body_of(fields), magic=1), headers
            case "schema":
                return key, framed(body_of(fields), schema_id=99), headers
            case "null":
                return key, None, headers
            case "key":
                return b"nobody", value, headers
            case "misrouted":
                other = self._users[(partition + 1) % len(self._users)][0]
                return record(fields | {"user_id": other})
            case "ahead":
                return record(fields | {"played_at": now + (self._settings.max_ahead_seconds + 1) * 1000})
        return key, (value or b"") + b"!", headers
