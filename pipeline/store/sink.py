"""One topic's sink: consume ─► rows ─► insert ─► commit.

1. start at the committed offsets (positions.py)
2. read records into rows; a record that is none of ours is passed over and counted
3. insert, a table at a time; what the store can't take now is offered again, for ever, without a commit, and meanwhile
   nothing is read: what waits in memory is one insert a table
4. only then commit, with what the reader resumes from as metadata
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from pipeline.settings import Settings
from pipeline.store.consumer import TopicConsumer
from pipeline.store.pending import Pending
from pipeline.store.positions import Committed, start_of
from pipeline.store.records import Reader, Record
from pipeline.store.trouble import Troubles, patiently
from pipeline.store.writer import Writer
from pipeline.topics import Topic

IDLE_SECONDS = 0.1


@dataclass
class Progress:
    """What a sink tells others: written by its thread, read by any."""

    topic: str
    consuming: threading.Event = field(default_factory=threading.Event)
    next: dict[int, int] = field(default_factory=dict)
    """Partition → committed position in the topic."""
    end: dict[int, int] = field(default_factory=dict)
    ignored: int = 0
    """Records passed over because they are none of ours."""
    written: dict[str, int] = field(default_factory=dict)
    """Table → rows inserted, those that replace others included."""
    trouble: str = ""
    waits_since: float | None = None
    """When the oldest row was read that is not stored yet, seconds of the monotonic clock."""
    waited: float = 0.0
    """How long the oldest row of the last insert had waited when it was committed, seconds."""

    def delay(self, now: float) -> float:
        """Seconds from reading to committing: of what waits, else of what was committed last."""
        since = self.waits_since
        return self.waited if since is None else max(self.waited, now - since)

    @property
    def rows(self) -> int:
        """Rows inserted."""
        return sum(self.written.copy().values())

    @property
    def lag(self) -> int:
        """Records of the topic not yet committed, as of the last fetch."""
        return sum(max(0, end - self.next.get(partition, 0)) for partition, end in self.end.copy().items())


class Sink:
    """Sinks one topic; `run` is the body of its thread."""

    def __init__(
        self,
        settings: Settings,
        topic: Topic,
        reader: Reader,
        writer: Writer,
        is_held: Callable[[int, Committed], bool],
        stop: threading.Event,
        troubles: Troubles,
    ) -> None:
        """`is_held`: whether the store holds the records of a partition below a committed offset."""
        self._settings, self._topic, self._reader, self._writer = settings, topic, reader, writer
        self._is_held, self._stop, self._troubles = is_held, stop, troubles
        self.progress = Progress(topic.name)

    def run(self) -> None:
        """Until asked to stop. Raises RefusedError or UnavailableError, and whatever else is a defect."""
        consumer = TopicConsumer(self._settings, self._topic)
        try:
            self._start(consumer)
            pending = Pending()
            while not self._stop.is_set():
                due = pending.due_in(time.monotonic())
                if due == 0.0:
                    self._flush(consumer, pending)
                    pending = Pending()
                    continue
                polled = consumer.poll(IDLE_SECONDS if due is None else min(IDLE_SECONDS, due))
                if isinstance(polled, Record):
                    self._take(polled, pending)
                elif polled:
                    self._say(polled)
                elif not self.progress.trouble or consumer.answers(IDLE_SECONDS):
                    self._go_on()
                    self._see_ends(consumer, self.progress.next)
        finally:
            consumer.close()

    def _start(self, consumer: TopicConsumer) -> None:
        rewound = {}
        for partition, committed in consumer.committed().items():
            low, high = consumer.bounds(partition)
            is_held = committed.offset > 0 and self._asked_whether_held(partition, committed)
            start = start_of(self._topic.name, partition, low, high, committed, is_held=is_held)
            self._reader.resume(partition, start.metadata)
            self.progress.next[partition], self.progress.end[partition] = start.offset, high
            if start.rewind:
                rewound[partition] = Committed(start.offset, start.metadata)
        if rewound:
            # Before anything is inserted: a crash after the first insert must not find the old commit and a filled table.
            consumer.commit(rewound)
        consumer.assign(self.progress.next)
        self.progress.consuming.set()

    def _asked_whether_held(self, partition: int, committed: Committed) -> bool:
        held = patiently(lambda: self._is_held(partition, committed), stop=self._stop, idle=self._stop.wait, say=self._say)
        self._go_on()
        return held

    def _take(self, record: Record, pending: Pending) -> None:
        self._go_on()
        rows = self._reader.read(record)
        if rows is None:
            self.progress.ignored += 1
        pending.add(record.partition, record.offset + 1, rows or [], time.monotonic())
        self.progress.waits_since = pending.since

    def _flush(self, consumer: TopicConsumer, pending: Pending) -> None:
        paused = False

        def idle(seconds: float) -> None:
            nonlocal paused
            if not paused:
                consumer.pause()
                paused = True
            self._wait(consumer, seconds)

        for table, rows in pending.inserts():
            patiently(partial(self._writer.write, table, rows), stop=self._stop, idle=idle, say=self._say)
            self.progress.written[table] = self.progress.written.get(table, 0) + rows.num_rows
            self._go_on()
        consumer.commit(
            {
                partition: Committed(offset, self._reader.metadata(partition, offset))
                for partition, offset in pending.positions.items()
            }
        )
        self.progress.next.update(pending.positions)
        self.progress.waited, self.progress.waits_since = time.monotonic() - (pending.since or 0.0), None
        if paused:
            consumer.assign(self.progress.next)
        self._see_ends(consumer, pending.positions)

    def _wait(self, consumer: TopicConsumer, seconds: float) -> None:
        """While paused: the lag goes on to be told, and what is wrong with the topic to be heard."""
        deadline = time.monotonic() + seconds
        self.progress.end.update(consumer.ends(self._stop))
        while (left := deadline - time.monotonic()) > 0 and not self._stop.is_set():
            consumer.poll(min(IDLE_SECONDS, left))

    def _say(self, trouble: str) -> None:
        self.progress.trouble = trouble
        self._troubles.begin(self._topic.name, trouble)

    def _go_on(self) -> None:
        if self.progress.trouble:
            self.progress.trouble = ""
            self._troubles.end(self._topic.name)

    def _see_ends(self, consumer: TopicConsumer, partitions: Iterable[int]) -> None:
        for partition in partitions:
            end = consumer.end(partition)
            if end is not None:
                self.progress.end[partition] = end
