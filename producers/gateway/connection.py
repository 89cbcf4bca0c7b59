"""Connections that may not be slow: headers in time and of some size, answers taken in time, so many connections at once.

uvicorn bounds none of these. How long a body may take is bounded where it is read (app.py).
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Literal

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from pipeline.http.problem import PROBLEM
from pipeline.settings import Settings

HEAD_BYTES = 16 << 10
"""Request line and headers."""
CONNECTIONS = 500
"""At once; half of the files that a process usually may have open."""
PIPELINED = 8
"""Calls that may wait behind the one that is answered; who sends more without reading is cut off."""
OVERHEAD = 8
"""What chunked coding may make of a body, and what may follow a refused one: beyond, the connection is closed."""

Refused = Callable[[str, int, str], None]
"""Told of the client's address, the status and why."""


def protocol_for(settings: Settings, refused: Refused) -> type[HttpToolsProtocol]:
    """The protocol with this gateway's bounds; `refused` is told of what never becomes a call."""

    class Bounded(BoundedProtocol):
        client_seconds = settings.gateway_client_seconds
        request_bytes = HEAD_BYTES + OVERHEAD * settings.gateway_body_bytes

        def tell(self, status: int, detail: str) -> None:
            refused(self.client[0] if self.client else "", status, detail)

    return Bounded


class BoundedProtocol(HttpToolsProtocol):
    """One connection. It is in a head until the headers are there, then in a body, then between two calls."""

    client_seconds: float
    request_bytes: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._part: Literal["head", "body", "between"] = "head"
        self._head_bytes = self._bytes = 0
        self._refused = False
        self._shared = False
        """What was read last holds the end of a call, too."""

    def tell(self, status: int, detail: str) -> None:
        raise NotImplementedError

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            self._refuse(503, "Too many connections", f"{CONNECTIONS} are open already: try again later")
            transport.close()
        else:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._taken()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._bytes > self.request_bytes:
            self.transport.abort()
        if self._refused or self.transport.is_closing():
            return
        self._shared = False
        super().data_received(data)
        if self._refused or self.transport.is_closing():
            return
        if self._part == "head":
            # Where this head begins behind another call's end only the parser knows; what it has not told yet counts next.
            self._head_bytes += self._told_bytes if self._shared else len(data)
        if self._head_bytes > HEAD_BYTES:
            self._refuse(431, "Too long", _TOO_LONG)
        elif self._timer is None and self.timeout_keep_alive_task is None and not self._answering:
            # The rest of a body that was refused, or line ends between two calls: neither may go on for ever.
            self._start_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._part != "head":
            self._start_timer()
        self._part, self._head_bytes, self._bytes = "head", 0, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._part == "head":  # trailers are nobody's headers
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_bytes = self._told_bytes
        if self._head_bytes > HEAD_BYTES:
            raise ValueError(_TOO_LONG)  # the parser stops, and `send_400_response` is called
        self._stop_timer()
        self._part = "body"
        super().on_headers_complete()
        if len(self.pipeline) > PIPELINED:
            self.tell(400, f"more than {PIPELINED} calls wait behind one that is answered")
            self.transport.abort()
            raise ValueError("cut off")  # the parser reads no further

    def on_message_complete(self) -> None:
        self._part, self._shared = "between", True
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self.client_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._taken()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        if self.transport.is_closing():
            return
        if self._head_bytes > HEAD_BYTES:
            self._refuse(431, "Too long", _TOO_LONG)
        else:
            self._refuse(400, "Bad request", msg)

    @property
    def _told_bytes(self) -> int:
        """Of the head, as far as the parser has told of it."""
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self.client_seconds, self._late)

    def _late(self) -> None:
        self._timer = None
        if self._refused:
            self.transport.close()
        elif self._answering:
            self._start_timer()  # of the call before
        elif self._part == "head":
            self._refuse(408, "Too slow", f"the headers were not there after {self.client_seconds:g} s")
        else:
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _taken(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _refuse(self, status: int, title: str, detail: str) -> None:
        """Say why, and close. What the client still sends is thrown away for a while: a connection that is closed over
        unread bytes is reset, and the answer lost."""
        self._refused = True
        self.tell(status, detail)
        if self._answering:  # the call before would be cut in two
            self.transport.close()
            return
        body = json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail}).encode()
        head = f"content-type: {PROBLEM}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n"
        later = "retry-after: 1\r\n" if status == 503 else ""
        self.transport.write(STATUS_LINE[status] + (head + later).encode() + b"\r\n" + body)
        self.transport.write_eof()
        self._start_timer()


_TOO_LONG = f"request line and headers may have {HEAD_BYTES} bytes"
