"""A broker in memory: logs whose sends are in flight until somebody decides what becomes of them.

    append ──► in flight ──► applied ──► acknowledged          the offset
                   │             └─────► answer lost           UnavailableError, though the record is there
                   └─► lost                                    UnavailableError, the record is not there

What one process has in flight to one partition is applied in its order, and where one of these is lost, so are those
behind it: idempotent producers.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from pipeline.codec.batches import walk
from pipeline.codec.headers import HeaderList
from pipeline.errors import UnavailableError
from pipeline.faustlib.fetch import Fetch
from pipeline.log.append import Appender
from pipeline.log.read import Record
from tests.unit.batches import batch_bytes
from tests.unit.log.memory_log import MemoryLog

Place = tuple[str, int]
PROCESS: ContextVar[Any] = ContextVar("process")
"""Whose code is running."""
BROKERS: dict[str, "Broker"] = {}
"""By bootstrap servers."""


class AnswerLostError(UnavailableError):
    """We took the answer away."""


@dataclass(eq=False)
class Send:
    """A record on its way from a process, which may have died meanwhile."""

    process: Any
    place: Place
    value: bytes | None
    key: bytes | None
    headers: HeaderList
    timestamp: int
    answer: "asyncio.Future[Any]"
    offset: int | None = None

    def advance(self, broker: "Broker") -> None:
        """Apply it, or acknowledge what was applied."""
        if self.offset is None:
            first = next(send for send in broker.in_flight(self.process, self.place) if send.offset is None)
            first.offset = broker.write(first.place, first.value, first.headers, first.timestamp, first.key)
        else:
            broker.pending.remove(self)
            if not self.answer.done():
                self.answer.set_result(self.offset)

    def lose(self, broker: "Broker") -> None:
        """The answer, or all from this send on."""
        stream = broker.in_flight(self.process, self.place)
        for send in stream[stream.index(self) :] if self.offset is None else [self]:
            broker.pending.remove(send)
            if not send.answer.done():
                send.answer.set_exception(AnswerLostError(f"{self.place} did not answer"))


@dataclass(eq=False)
class Gate:
    """A restored state that is not yet handed over: it tells of the log as it was."""

    process: Any
    answer: "asyncio.Future[Any]"

    def advance(self, broker: "Broker") -> None:
        broker.pending.remove(self)
        if not self.answer.done():
            self.answer.set_result(None)

    def lose(self, broker: "Broker") -> None:
        self.advance(broker)


@dataclass
class Broker(MemoryLog):
    """`source_topic` holds whole batches, the others records. `hear` is told of every record that is written."""

    source_topic: str
    hear: Callable[[Place, Record], None]
    pending: list[Send | Gate] = field(default_factory=list)
    batches: dict[int, list[tuple[int, int, bytes]]] = field(default_factory=lambda: defaultdict(list))
    """Source partition → (first offset, last offset, bytes)."""
    ends: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def __post_init__(self) -> None:
        super().__init__()
        self._raw: dict[tuple[str, int, int], bytes] = {}

    def in_flight(self, process: Any, place: Place) -> list[Send]:
        return [
            send
            for send in self.pending
            if isinstance(send, Send) and (send.process, send.place) == (process, place)
        ]  # fmt: skip

    def write(self, place: Place, value: bytes | None, headers: HeaderList, timestamp: int, key: bytes | None) -> int:
        log = self.records[place]
        record = Record(len(log), timestamp, headers, value or b"", key, value is None)
        log.append(record)
        self.hear(place, record)
        return record.offset

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        if topic == self.source_topic:
            return 0, self.ends[partition]
        return super().bounds(topic, partition)

    def reader(self) -> MemoryLog:
        """What one reader sees: the same log."""
        other = Broker(self.source_topic, self.hear, batches=self.batches, ends=self.ends)
        other.records, other.lows = self.records, self.lows
        return other

    def fetch(self, topic: str, partition: int, position: int, count: int, skip: int) -> tuple[int, Fetch | None]:
        """The next `count` batches from the position on, of which the first `skip` are lost on the way; where to read on."""
        found = list(self._batches(topic, partition, position, skip + count))
        lost, brought = found[:skip], found[skip:]
        first = lost[-1][0] + 1 if lost else position
        if not brought:
            return first, None
        return brought[-1][0] + 1, Fetch(
            topic, partition, first, brought[-1][0] + 1, walk(b"".join(raw for _, raw in brought))
        )

    def _batches(self, topic: str, partition: int, position: int, count: int) -> Iterator[tuple[int, bytes]]:
        if topic == self.source_topic:
            found = [(last, raw) for _, last, raw in self.batches[partition] if last >= position]
            yield from found[:count]
            return
        for record in self.records[topic, partition][position : position + count]:
            where = (topic, partition, record.offset)
            if where not in self._raw:
                item = (record.key, None if record.is_null else record.value, list(record.headers))
                self._raw[where] = batch_bytes([item], record.offset, timestamps=[record.timestamp])  # type: ignore[list-item]
            yield record.offset, self._raw[where]


class InFlightAppender(Appender):
    """The appender of a process: its sends wait in the broker's hands."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__(bootstrap)
        self._broker, self._process = BROKERS[bootstrap], PROCESS.get()

    async def append(
        self,
        topic: str,
        partition: int,
        value: bytes | None,
        headers: HeaderList,
        *,
        timestamp: int | None = None,
        key: bytes | None = None,
    ) -> int:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        assert timestamp is None or timestamp >= 0
        self._broker.pending.append(
            Send(self._process, (topic, partition), value, key, headers, max(1, timestamp or 0), answer)
        )
        return await answer


@contextmanager
def memory_reader(bootstrap: str, _fetch_bytes: int = 0) -> Iterator[MemoryLog]:
    """In place of `log_reader`."""
    yield BROKERS[bootstrap].reader()
