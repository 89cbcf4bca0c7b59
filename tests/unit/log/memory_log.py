"""An in-memory log with the broker's behaviour: dense offsets, searched by time, cut at its beginning."""

from collections import defaultdict
from collections.abc import Iterator

from pipeline.codec.headers import HeaderList
from pipeline.log.read import CutError, Record


class MemoryLog:
    def __init__(self) -> None:
        self.records: dict[tuple[str, int], list[Record]] = defaultdict(list)
        self.lows: dict[tuple[str, int], int] = defaultdict(int)
        self._reading = False

    def append(self, topic: str, partition: int, value: bytes, headers: HeaderList, timestamp: int) -> int:
        log = self.records[topic, partition]
        log.append(Record(len(log), timestamp, headers, value))
        return len(log) - 1

    def cut(self, topic: str, partition: int, offset: int) -> None:
        """Delete the records below `offset`: no reader sees them any more."""
        self.lows[topic, partition] = max(self.lows[topic, partition], offset)

    def with_cut(self, topic: str, partition: int, offset: int) -> "MemoryLog":
        """The same log, cut by somebody."""
        other = MemoryLog()
        other.records, other.lows = self.records, self.lows.copy()
        other.cut(topic, partition, offset)
        return other

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return self.lows[topic, partition], len(self.records[topic, partition])

    def offset_at(self, topic: str, partition: int, timestamp: int) -> int:
        log = self.records[topic, partition][self.lows[topic, partition] :]
        return next((record.offset for record in log if record.timestamp >= timestamp), self.bounds(topic, partition)[1])

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Record]:
        if start < min(stop, self.lows[topic, partition]):
            raise CutError(f"{topic} partition {partition}: offset {start} is gone")
        assert not self._reading, "a reader has one consumer: it reads one range at a time"
        self._reading = True
        try:
            yield from self.records[topic, partition][start:stop]
        finally:
            self._reading = False
