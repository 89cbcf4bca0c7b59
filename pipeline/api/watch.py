"""Watches a run: looks at engine and Kafka side by side, and makes the state of what they told by then."""

import asyncio
import time
from dataclasses import dataclass

from pipeline.api.documents import Dependencies, Rates, Ready, State
from pipeline.api.kafka import KafkaFacts, KafkaLook
from pipeline.api.look import Look
from pipeline.api.look_store import Stored, StoreLook
from pipeline.api.rates import RateOf
from pipeline.api.ready import dependencies
from pipeline.api.state import Told, state_of
from pipeline.settings import Settings
from pipeline.store.ask import Asked
from pipeline.store.sinks import Sinks, reasons_against

FIRST_SECONDS, PATIENCE_SECONDS = 2.0, 0.9
"""How long the first look is waited for, and each after it: then what was known before is told once more, with its age."""

END_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A state, and what it was judged by."""

    state: State
    needs: Dependencies
    stored: Stored | None

    @property
    def ready(self) -> Ready:
        return Ready(status="ready" if self.state.ready else "not ready", dependencies=self.needs)


class Watch:
    """To be used in one event loop."""

    def __init__(self, settings: Settings, asked: Asked, sinks: Sinks) -> None:
        self._settings, self._sinks = settings, sinks
        self._kafka_look = KafkaLook(settings)
        self._store: Look[Stored] = Look("ClickHouse", StoreLook(settings, asked))
        self._kafka: Look[KafkaFacts] = Look("Kafka", self._kafka_look)
        self._rates, self._patience = RateOf(), FIRST_SECONDS

    async def see(self) -> Seen:
        """Never raises for what is away: then it is among the reasons."""
        await asyncio.gather(self._store.refresh(self._patience), self._kafka.refresh(self._patience))
        self._patience = PATIENCE_SECONDS
        stored, kafka, sinks = self._store.answer, self._kafka.answer, self._sinks
        troubles = {
            "clickhouse": self._store.trouble,
            "kafka": self._kafka.trouble,
            "sinks": "; ".join(reasons_against(sinks)),
        }
        needs = dependencies(self._settings, kafka, troubles)
        progress = list(sinks.progress.values())
        told = Told(
            stored,
            self._store.age_seconds,
            kafka,
            self._kafka.age_seconds,
            sum(one.lag for one in progress) if progress else None,
        )
        rates = self._rates.add(stored.at, stored.totals) if stored else Rates()
        return Seen(state_of(self._settings, int(time.time() * 1000), told, rates, needs), needs, stored)

    def rest(self) -> None:
        """Let go of connections until it is asked again."""
        self._kafka.rest(self._kafka_look.close)

    async def end(self) -> None:
        """No more looks. A question to the engine should be over before the engine is closed; Kafka's are not waited for."""
        self.rest()
        await asyncio.gather(self._store.end(END_SECONDS), self._kafka.end(0))
