"""Server-sent events to one listener, until either side ends them."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pipeline.api.feed import Feed, Listener

T = TypeVar("T")
MEDIA_TYPE = "text/event-stream"
HEADERS: Mapping[str, str] = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""Second: a proxy must not gather events before it hands them on."""
RETRY = b"retry: 2000\n\n"
HEARTBEAT, HEARTBEAT_SECONDS = b": alive\n\n", 10.0
"""A comment, where there is nothing to tell: who is gone shows when something is written."""
STUCK_SECONDS = 60.0
"""Who takes nothing for so long is given up."""


class EventStream(Response, Generic[T]):
    """What a feed hands out, each as one event."""

    media_type = MEDIA_TYPE

    def __init__(self, feed: Feed[T], listener: Listener[T], encode: Callable[[T], bytes]) -> None:
        self._feed, self._listener, self._encode = feed, listener, encode
        self.status_code, self.background, self.body = 200, None, b""
        self.init_headers(HEADERS)
        del self.headers["content-length"]  # there is none

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._say(send, RETRY)
            while not gone.done():
                event = await self._next(gone)
                if event is None:
                    break
                await self._say(send, event)
            if not gone.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (TimeoutError, OSError):  # stuck, or gone in the middle
            pass
        finally:
            self._feed.leave(self._listener)
            gone.cancel()

    async def _next(self, gone: "asyncio.Future[None]") -> bytes | None:
        """The next event, a heartbeat where none comes, None where it is over."""
        following = asyncio.ensure_future(self._listener.next())
        try:
            either: set[asyncio.Future[Any]] = {following, gone}
            await asyncio.wait(either, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                return None
            if not following.done():
                return HEARTBEAT
            item = following.result()
            return None if item is None else self._encode(item)
        finally:
            following.cancel()

    async def _say(self, send: Send, body: bytes) -> None:
        async with asyncio.timeout(STUCK_SECONDS):
            await send({"type": "http.response.body", "body": body, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def event(name: str, data: str) -> bytes:
    """One event; `data` is one line."""
    return f"event: {name}\ndata: {data}\n\n".encode()
