"""An in-memory log with the broker's behaviour: dense offsets, searched by time."""

from collections import defaultdict
from collections.abc import Iterator

from pipeline.codec.headers import HeaderList
from pipeline.log.read import Record


class MemoryLog:
    def __init__(self) -> None:
        self.records: dict[tuple[str, int], list[Record]] = defaultdict(list)

    def append(self, topic: str, partition: int, value: bytes, headers: HeaderList, timestamp: int) -> int:
        log = self.records[topic, partition]
        log.append(Record(len(log), timestamp, headers, value))
        return len(log) - 1

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return 0, len(self.records[topic, partition])

    def offset_at(self, topic: str, partition: int, timestamp: int) -> int:
        log = self.records[topic, partition]
        return next((record.offset for record in log if record.timestamp >= timestamp), len(log))

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Record]:
        yield from self.records[topic, partition][start:stop]
