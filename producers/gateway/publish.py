"""Events to Kafka, from an event loop: one producer a process, a thread that serves it, answers to the loop in batches.

publish (loop) ─► librdkafka ─► delivery callbacks (thread) ─► one call_soon_threadsafe a poll ─► Delivery.done (loop)
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from confluent_kafka import KafkaException

from pipeline.codec.events import encode, key_of
from pipeline.settings import Settings
from pipeline.topics import topics_of
from producers.ledger import Status
from producers.publish.clients import kafka_producer
from producers.publish.events import REFUSALS
from schemas.model import PlaybackEvent

LINGER_MS = 5
SHORTEST_MS = 100
"""Of a message timeout: 0 would mean for ever, and less than lingering is refused."""
POLL_SECONDS = 0.1
LOOK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Look:
    """What Kafka says of the run's events. `why_not`: a sentence, empty where they can be taken. `refuses`: it is so for
    good, and no call need find out; where Kafka is only silent, calls find out when it isn't any more."""

    why_not: str
    refuses: bool = True


class Delivery:
    """What became of the events of one call, each by its place. Read it when `done`, or take what is UNKNOWN as it is."""

    __slots__ = ("answered", "count", "done", "offset", "partition", "status", "unsent")

    def __init__(self, count: int, done: "asyncio.Future[None]") -> None:
        self.count, self.done = count, done
        self.status: list[int] = [Status.UNKNOWN] * count
        self.partition: list[int | None] = [None] * count
        self.offset: list[int | None] = [None] * count
        # Each is written by one thread alone; whoever writes last sees that all are accounted for.
        self.answered = self.unsent = 0

    @property
    def complete(self) -> bool:
        return self.answered + self.unsent == self.count

    @property
    def acknowledged(self) -> bool:
        """Kafka has every event."""
        return all(status == Status.ACKNOWLEDGED for status in self.status)


class KafkaPublisher:
    """All methods but `look`, `close` and the callbacks belong to the event loop."""

    def __init__(self, settings: Settings, schema_id: int) -> None:
        self._schema_id, self._topic = schema_id, topics_of(settings).events
        self._bootstrap, self._run = settings.bootstrap, settings.run
        self._producer = kafka_producer(
            settings,
            {
                "linger.ms": LINGER_MS,
                # What isn't acknowledged in time is given up: a call that was told so must not lie there for a minute.
                "message.timeout.ms": max(SHORTEST_MS, int(settings.gateway_ack_seconds * 1000)),
                "queue.buffering.max.messages": max(100_000, 2 * settings.gateway_in_flight_events),
            },
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._died: asyncio.Future[None]
        self._answered: deque[Delivery] = deque()
        self._under_way: dict[Delivery, None] = {}
        self._admitted: set[asyncio.Future[None]] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="kafka", daemon=True)
        self.in_flight = 0
        """Events that Kafka has not answered for."""

    def start(self, loop: asyncio.AbstractEventLoop) -> "asyncio.Future[None]":
        """Begin to serve. What it gives is done only where that ended by an error, and raises it: of such a producer
        nothing can be sent any more (librdkafka's fatal errors come out of its poll, and nowhere else)."""
        self._loop, self._died = loop, loop.create_future()
        self._thread.start()
        return self._died

    def publish(self, events: Sequence[PlaybackEvent]) -> Delivery:
        """Hand them over; returns at once. At least one event. What the producer doesn't take is FAILED."""
        assert self._loop is not None
        # All or none: a delivery of which some were never handed over would never be done.
        rows = [(encode(event, self._schema_id), key_of(event.user_id)) for event in events]
        delivery = Delivery(len(events), self._loop.create_future())
        self._under_way[delivery] = None
        self.in_flight += delivery.count
        produce, topic = self._producer.produce, self._topic.name
        for row, (value, key) in enumerate(rows):
            try:
                produce(topic, value, key, -1, partial(self._take_in, delivery, row))
            except (BufferError, KafkaException):
                delivery.status[row] = Status.FAILED
                delivery.unsent += 1
        if delivery.unsent and delivery.complete:
            self._settle([delivery])
        return delivery

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """A call that will publish, until it has ended; `settled` waits for it from here on, not only from `publish`."""
        ended = asyncio.get_running_loop().create_future()
        self._admitted.add(ended)
        try:
            yield
        finally:
            self._admitted.discard(ended)
            ended.set_result(None)

    async def settled(self, seconds: float) -> bool:
        """Wait until all that is admitted or under way by now is answered; False where some isn't after so many seconds."""
        waiting = [*self._admitted, *(delivery.done for delivery in self._under_way)]
        if not waiting:
            return True
        _, pending = await asyncio.wait(waiting, timeout=seconds)
        return not pending

    def look(self) -> Look:
        """Ask Kafka whether the run's events can be taken. Blocks; for a thread."""
        try:
            found = self._producer.list_topics(timeout=LOOK_SECONDS).topics.get(self._topic.name)
        except KafkaException as error:
            return Look(f"Kafka at {self._bootstrap} does not answer ({error.args[0].str()})", refuses=False)
        if found is None:
            where = f"there is no topic {self._topic.name} at {self._bootstrap}"
            return Look(f"{where}: make it with `listening up --run {self._run}`")
        if len(found.partitions) != self._topic.partitions:
            return Look(
                f"topic {self._topic.name} has {len(found.partitions)} partitions and LISTENING_PARTITIONS is "
                f"{self._topic.partitions}: set it to the topic's"
            )
        return Look("", refuses=False)

    def close(self, seconds: float) -> int:
        """Wait so long for what is under way, then stop the thread; how many events stay unanswered."""
        try:
            left = int(self._producer.flush(seconds))
        except KafkaException:  # fatal: nothing of what is left will be sent
            left = len(self._producer)
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(2 * POLL_SECONDS + 1)
        return left

    def _serve(self) -> None:
        try:
            self._poll()
        except BaseException as error:
            self._in_loop(partial(self._died.set_exception, error))

    def _poll(self) -> None:
        while not self._stopped.is_set():
            self._producer.poll(POLL_SECONDS)
            if self._answered:
                answered = [self._answered.popleft() for _ in range(len(self._answered))]
                self._in_loop(partial(self._settle, answered))

    def _in_loop(self, work: Callable[[], None]) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(work)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    def _take_in(self, delivery: Delivery, row: int, error: Any, message: Any) -> None:
        if error is None:
            delivery.partition[row], delivery.offset[row] = message.partition(), message.offset()
            delivery.status[row] = Status.ACKNOWLEDGED
        elif error.code() in REFUSALS:
            delivery.status[row] = Status.FAILED
        delivery.answered += 1
        if delivery.complete:
            self._answered.append(delivery)

    def _settle(self, answered: list[Delivery]) -> None:
        for delivery in answered:
            if self._under_way.pop(delivery, False) is None:
                self.in_flight -= delivery.count
                if not delivery.done.done():
                    delivery.done.set_result(None)
