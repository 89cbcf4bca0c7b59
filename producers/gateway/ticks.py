"""The gateway's ticks: at the end of each pane all that came before it is in the log, and a tick says so.

pane ends ─► what is under way is answered ─► tick to every partition
"""

import asyncio
import threading

import structlog
from confluent_kafka import KafkaError, KafkaException

from pipeline.errors import ListeningError
from pipeline.settings import Settings
from producers.gateway.publish import KafkaPublisher
from producers.interrupt import Interrupt
from producers.publish.pace import now_ms
from producers.publish.ticks import Ticker

log = structlog.get_logger()


class Stop(Interrupt):
    """Ends the wait of a tick for its broker, from another thread."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = threading.Event()

    def ask(self) -> None:
        self._asked.set()

    def check(self) -> None:
        if self._asked.is_set():
            raise KeyboardInterrupt


class GatewayTicks:
    """Ticks of one process. Several processes do no harm: a tick moves the watermark, and counts as nothing."""

    def __init__(self, settings: Settings, publisher: KafkaPublisher) -> None:
        self._stop, self._publisher = Stop(), publisher
        self._ticker = Ticker(settings, self._stop)
        self._pane_ms, self._ack_seconds = settings.rules.pane_ms, settings.gateway_ack_seconds
        self._troubled = False

    async def run(self) -> None:
        """At the end of each pane, until cancelled. A pane that Kafka has no answer for is told by the next one's tick.

        Raises KafkaException where its producer can't go on.
        """
        while True:
            now = now_ms()
            end = self._end_of_pane(now)
            while end > now:
                await asyncio.sleep((end - now) / 1000)
                now = now_ms()
                end = min(end, self._end_of_pane(now))  # a clock that went back: nobody waits until it has caught up
            await self.tick(end)

    def _end_of_pane(self, now: int) -> int:
        return (now // self._pane_ms + 1) * self._pane_ms

    async def tick(self, clock: int) -> None:
        """Write a tick of this instant, behind all events that are under way."""
        if await self._publisher.settled(self._ack_seconds):
            await asyncio.to_thread(self._write, clock)

    def stop(self) -> None:
        """A tick that still waits for Kafka is given up."""
        self._stop.ask()

    def _write(self, clock: int) -> None:
        try:
            self._ticker.tick(clock)
            self._troubled = False
        except KeyboardInterrupt:
            return
        except (ListeningError, KafkaException) as error:
            if not self._troubled:
                log.warning("a tick was not written", reason=str(error))
            self._troubled = True
            if is_fatal(error):
                raise


def is_fatal(error: Exception) -> bool:
    """Whether a producer that raised this will never send anything again."""
    told = error.args[0] if isinstance(error, KafkaException) else None
    return isinstance(told, KafkaError) and (told.fatal() or told.code() == KafkaError._FATAL)
