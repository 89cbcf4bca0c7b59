"""One call's course before a real broker, held up or cut off at a point of the test's choosing."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.admin import ensure_topics
from pipeline.errors import UnavailableError
from pipeline.http.keys import Key
from pipeline.settings import Settings
from producers.gateway.answers import CallRefusedError
from producers.gateway.breaker import Breaker, Policy
from producers.gateway.calls import Calls
from producers.gateway.idempotency import Beginning
from producers.gateway.limit import Limit, Verdict
from producers.gateway.loop_state import LoopState
from producers.gateway.metrics import GatewayMetrics
from producers.gateway.publish import KafkaPublisher
from producers.gateway.state import State
from tests.end_to_end.gateways import event

SECONDS = 60.0
KEY = Key("01234567", "client", frozenset({"publish"}), 0, None)


class Scripted(LoopState):
    """A real state that does at one point what the test says."""

    def __init__(self, folder: Path) -> None:
        super().__init__(State(folder / "state.sqlite"))
        self.reached, self.gate = asyncio.Event(), asyncio.Event()
        self.held_up, self.failing = "", ""

    async def begin(self, *args: Any) -> Beginning:
        found = await super().begin(*args)
        await self._point("begin")
        return found

    async def charge(self, key_id: str, events: int, limit: Limit) -> Verdict:
        await self._point("charge")
        return await super().charge(key_id, events, limit)

    async def finish(self, *args: Any) -> bool:
        await self._point("finish")
        return await super().finish(*args)

    async def _point(self, name: str) -> None:
        if name == self.failing:
            self.failing = ""
            raise UnavailableError("the disk is full")
        if name == self.held_up:
            self.held_up = ""
            self.reached.set()
            await self.gate.wait()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Scripted]:
    state = Scripted(tmp_path)
    yield state
    state.close()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Where the broker may take its time to acknowledge."""
    return settings.model_copy(update={"gateway_ack_seconds": SECONDS})


@pytest.fixture
def publisher(settings: Settings) -> Iterator[KafkaPublisher]:
    ensure_topics(settings)
    publisher = KafkaPublisher(settings, 1)
    yield publisher
    publisher.close(SECONDS)


@pytest.fixture
def calls(settings: Settings, state: Scripted, publisher: KafkaPublisher) -> Calls:
    calls = Calls(settings, state, publisher, Breaker(Policy()), GatewayMetrics())
    calls.kafka = publisher.look()
    return calls


def test_a_call_that_is_admitted_and_not_yet_published_holds_a_tick_up(
    calls: Calls, state: Scripted, publisher: KafkaPublisher
) -> None:
    # call ── admitted ── charged … ───────────────── published ── answered
    # tick ────────────────────────── not now ───────────────────────────── now
    async def scenario() -> None:
        publisher.start(asyncio.get_running_loop())
        state.held_up = "charge"
        call = asyncio.create_task(calls.answer(KEY, None, json.dumps(event()).encode()))
        await asyncio.wait_for(state.reached.wait(), SECONDS)
        assert publisher.in_flight == 0
        assert not await publisher.settled(0.01)
        behind = asyncio.create_task(publisher.settled(SECONDS))
        await asyncio.sleep(0)
        state.gate.set()
        assert await behind
        assert publisher.in_flight == 0
        assert (await call).status == 202

    asyncio.run(scenario())


def test_a_call_that_is_refused_after_it_was_admitted_holds_nothing_up_any_more(
    calls: Calls, publisher: KafkaPublisher
) -> None:
    async def scenario() -> None:
        publisher.start(asyncio.get_running_loop())
        limited = Key(KEY.id, KEY.name, KEY.scopes, 0, 1)
        with pytest.raises(CallRefusedError, match="its key may publish 1 events"):
            await calls.answer(limited, None, json.dumps([event(), event()]).encode())
        assert await publisher.settled(0.01)

    asyncio.run(scenario())


def test_a_call_whose_answer_was_not_stored_may_be_begun_again_at_once(
    calls: Calls, state: Scripted, publisher: KafkaPublisher
) -> None:
    async def scenario() -> None:
        publisher.start(asyncio.get_running_loop())
        state.failing, body = "finish", json.dumps(event()).encode()
        with pytest.raises(UnavailableError, match="the disk is full"):
            await calls.answer(KEY, "key", body)
        again = await calls.answer(KEY, "key", body)
        assert (again.status, again.replayed) == (202, False)
        assert (await calls.answer(KEY, "key", body)).replayed

    asyncio.run(scenario())


def test_a_call_that_is_cut_off_while_it_begins_may_be_begun_again_at_once(
    calls: Calls, state: Scripted, publisher: KafkaPublisher
) -> None:
    async def scenario() -> None:
        publisher.start(asyncio.get_running_loop())
        state.held_up, body = "begin", json.dumps(event()).encode()
        call = asyncio.create_task(calls.answer(KEY, "key", body))
        await asyncio.wait_for(state.reached.wait(), SECONDS)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await calls.answer(KEY, "key", body)).status == 202

    asyncio.run(scenario())
