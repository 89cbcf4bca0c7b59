"""One stream, as the server calls it: heartbeats, an end that is told, and clients that are gone or take nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pipeline.api import stream
from pipeline.api.feed import Feed
from pipeline.api.stream import HEARTBEAT, RETRY, EventStream, event


class Client:
    """Takes what is sent, until it is gone; `stuck`: takes nothing after the headers."""

    def __init__(self, *, stuck: bool = False) -> None:
        self.sent: list[dict[str, Any]] = []
        self.news, self.gone, self._stuck = asyncio.Event(), asyncio.Event(), stuck

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if self._stuck and self.sent:
            await asyncio.Event().wait()
        self.sent.append(message)
        self.news.set()

    async def has(self, body: bytes) -> None:
        while body not in (message.get("body") for message in self.sent):
            await self.news.wait()
            self.news.clear()


async def opened(client: Client, make: Callable[[], Awaitable[str]]) -> tuple[Feed[str], "asyncio.Task[None]"]:
    feed = Feed(make, lambda: None, 1.0)
    listener = feed.join()
    assert listener is not None
    response = EventStream(feed, listener, lambda text: event("state", text))
    return feed, asyncio.create_task(response({"type": "http"}, client.receive, client.send))


async def never() -> str:
    await asyncio.Event().wait()
    return ""


async def hello() -> str:
    return "hello"


def test_while_there_is_nothing_to_tell_it_sends_comments_and_who_is_gone_leaves_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.01)

    async def test() -> None:
        client = Client()
        feed, task = await opened(client, never)
        await client.has(HEARTBEAT)
        assert client.sent[1]["body"] == RETRY
        client.gone.set()
        await task
        assert not feed.listeners
        assert client.sent[-1]["more_body"] is True
        feed.end()

    asyncio.run(asyncio.wait_for(test(), 20))


def test_an_end_is_told_so_that_the_answer_is_whole() -> None:
    async def test() -> None:
        client = Client()
        feed, task = await opened(client, hello)
        await client.has(b"event: state\ndata: hello\n\n")
        feed.end()
        await task
        assert client.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
        assert not feed.listeners

    asyncio.run(asyncio.wait_for(test(), 20))


def test_who_takes_nothing_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "STUCK_SECONDS", 0.01)

    async def test() -> None:
        feed, task = await opened(Client(stuck=True), hello)
        await task
        assert not feed.listeners
        feed.end()

    asyncio.run(asyncio.wait_for(test(), 20))
