"""The course of one call that publishes, from its body to its answer.

1. read and check the items: what is no event goes no further          (400, 413, 422)
2. take the Idempotency-Key, or answer what was answered                (409, 422, the stored answer)
3. ask the breaker, the room in flight and the key's limit              (503, 429)
4. publish, and wait until Kafka has acknowledged; hold the lease       (503: the Idempotency-Key is given back)
5. store the answer under the Idempotency-Key, then give it             (202)
"""

import asyncio
import hashlib
import time
from contextlib import suppress

from pipeline.errors import ListeningError
from pipeline.http.keys import Key
from pipeline.settings import Settings
from producers.gateway.answers import (
    Answer,
    CallRefusedError,
    accepted,
    items_of,
    limit_headers,
    refused_items,
    retry_after,
)
from producers.gateway.body import BodyError, items_in
from producers.gateway.breaker import Breaker, Ticket
from producers.gateway.held import Held
from producers.gateway.items import Checked, check, id_for
from producers.gateway.limit import NEVER, Limit, Verdict
from producers.gateway.loop_state import LoopState
from producers.gateway.metrics import GatewayMetrics
from producers.gateway.publish import Delivery, KafkaPublisher, Look
from producers.publish.pace import now_ms

ON_LOOP_BYTES = 1 << 18
"""Of a body that is read in less time than a thread is worth: some 10 ms."""


class Calls:
    """Answers calls of this process. All of it runs on the event loop, but the state's transactions."""

    def __init__(
        self, settings: Settings, state: LoopState, publisher: KafkaPublisher, breaker: Breaker, metrics: GatewayMetrics
    ) -> None:
        self._settings, self._state, self._publisher = settings, state, publisher
        self._breaker, self._metrics = breaker, metrics
        self._admitted = 0
        """Events of calls that may go on, and aren't in flight yet."""
        self.kafka = Look("Kafka was not asked yet")
        """What Kafka said last."""

    def limit_of(self, key: Key) -> Limit:
        return Limit(key.limit_events or self._settings.gateway_limit_events, self._settings.gateway_limit_seconds * 1000)

    async def limit_headers(self, key: Key, verdict: Verdict | None) -> dict[str, str]:
        """As the key's limit stands, where `verdict` doesn't tell; without what remains where the state can't."""
        limit = self.limit_of(key)
        if verdict is None:
            with suppress(ListeningError):
                verdict = await self._state.charge(key.id, 0, limit)
        return limit_headers(limit, verdict)

    async def answer(self, key: Key, idempotency_key: str | None, body: bytes) -> Answer:
        """Raises CallRefusedError, and ListeningError where the state fails."""
        if len(body) <= ON_LOOP_BYTES:
            checked = self._checked(key, idempotency_key, body)
        else:  # other calls go on meanwhile
            checked = await asyncio.to_thread(self._checked, key, idempotency_key, body)
        if idempotency_key is None:
            return await self._published(key, checked)
        held = Held(
            self._state, key.id, idempotency_key, hashlib.sha256(body).digest(), self._settings.gateway_lease_seconds
        )
        try:
            stored = await held.begin()
            if stored is not None:
                return Answer(stored.status, stored.body, replayed=True)
            return await held.finish(await self._published(key, checked, held))
        except BaseException:
            # Whatever was not finished may be begun again; where another one has the call, this changes nothing.
            with suppress(ListeningError):  # the lease ends by itself
                await held.release()
            raise

    def _checked(self, key: Key, idempotency_key: str | None, body: bytes) -> Checked:
        try:
            found = items_in(body)
        except BodyError as error:
            raise CallRefusedError(400, "Bad body", f"the body can't be taken: {error}") from None
        most = min(self._settings.gateway_batch_events, self._settings.gateway_in_flight_events)
        if len(found.items) > most:
            raise CallRefusedError(
                413, "Too many events", f"the call holds {len(found.items)} events, and one may hold {most}: split it"
            )
        if idempotency_key is None and not found.all_named:
            raise CallRefusedError(
                400,
                "No Idempotency-Key",
                "an event without event_id needs an Idempotency-Key, or a retry would count it twice: send either",
            )
        checked = check(
            found.items,
            now_ms=now_ms(),
            max_ahead_ms=self._settings.rules.max_ahead_ms,
            id_of=id_for(key.id, idempotency_key) if idempotency_key else None,
        )
        self._metrics.count("refused", len(checked.refused))
        if not checked.events:
            raise CallRefusedError(
                422, "No valid event", "none of the items is a valid event: see each", items=refused_items(checked.refused)
            )
        return checked

    async def _published(self, key: Key, checked: Checked, held: Held | None = None) -> Answer:
        """Steps 3 and 4."""
        events = len(checked.events)
        ticket = self._admit(events)
        with self._publisher.admitted():
            try:
                try:
                    verdict = await self._charge(key, events + len(checked.refused))
                finally:
                    self._admitted -= events
                delivery = self._publisher.publish(list(checked.events.values()))
                await self._answered(delivery, held)
            except BaseException:
                self._breaker.dropped(ticket)
                raise
        self._judge(checked, delivery, ticket)
        return Answer(202, accepted(self._settings.run, checked, delivery), verdict=verdict)

    def _admit(self, events: int) -> Ticket:
        """Raises CallRefusedError; else takes room for the events, until they are in flight, and the breaker's ticket."""
        if self.kafka.refuses:
            raise CallRefusedError(503, "Kafka can't take it", self.kafka.why_not, retry_after(1))
        waiting = self._publisher.in_flight + self._admitted
        if waiting + events > self._settings.gateway_in_flight_events:
            raise CallRefusedError(
                503, "Too much in flight", f"{waiting} events wait for Kafka already: try again later", retry_after(1)
            )
        ticket = self._breaker.admit(time.monotonic())
        if ticket.wait_seconds:
            raise CallRefusedError(
                503,
                "Kafka does not answer",
                "the last calls were not acknowledged, so this one isn't tried",
                retry_after(ticket.wait_seconds),
            )
        self._admitted += events
        return ticket

    async def _charge(self, key: Key, events: int) -> Verdict:
        limit = self.limit_of(key)
        verdict = await self._state.charge(key.id, events, limit)
        if verdict.allowed:
            return verdict
        span = f"{limit.events} events in any {limit.window_ms // 1000} s"
        if verdict.retry_after_ms == NEVER:
            raise CallRefusedError(
                413, "Over the limit", f"the call holds {events} events, and its key may publish {span}: split it"
            )
        raise CallRefusedError(
            429,
            "Too many requests",
            f"the key may publish {span}, of which {verdict.remaining} are left: wait as Retry-After says",
            retry_after(verdict.retry_after_ms / 1000),
        )

    async def _answered(self, delivery: Delivery, held: Held | None) -> None:
        """Until Kafka has answered for every event, or its time is over."""
        deadline = time.monotonic() + self._settings.gateway_ack_seconds
        while not delivery.done.done() and (left := deadline - time.monotonic()) > 0:
            await asyncio.wait([delivery.done], timeout=min(left, self._settings.gateway_lease_seconds / 3))
            if held and not delivery.done.done():
                with suppress(ListeningError):  # who lost the lease is told when it finishes
                    await held.renew()

    def _judge(self, checked: Checked, delivery: Delivery, ticket: Ticket) -> None:
        """Raises CallRefusedError unless Kafka has every event."""
        if delivery.acknowledged:
            self._breaker.succeeded()
            self._metrics.count("accepted", delivery.count)
            return
        self._breaker.failed(ticket, time.monotonic())
        items = items_of(checked, delivery)
        counts = {status: sum(item["status"] == status for item in items) for status in ("accepted", "failed", "unknown")}
        for status, count in counts.items():
            self._metrics.count(status, count)
        raise CallRefusedError(
            503,
            "Not acknowledged",
            f"Kafka acknowledged {counts['accepted']} events, {counts['unknown']} may be in the log and {counts['failed']} "
            "are not: send the call again, ids repeat and count once",
            retry_after(1),
            items=items,
        )
