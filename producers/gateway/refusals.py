"""Refused calls to the audit log: noted on the event loop, written by a thread."""

import json
import queue
import threading
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producers.gateway.audit import Audit

WAITING = 10_000
"""Lines that may wait for the disk; beyond, they are counted instead."""

Line = tuple[int, str, str | None, str, str, int, str]
"""As `Audit.refused` takes them."""


class AuditThread:
    """Writes what it is given, in its own time."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._lines: queue.Queue[Line | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._write, name="audit", daemon=True)
        self.dropped = 0
        self._thread.start()

    def refused(self, remote: str, key_id: str | None, method: str, path: str, status: int, reason: str) -> None:
        """Never waits, never raises."""
        try:
            self._lines.put_nowait((time.time_ns() // 1_000_000, remote, key_id, method, path, status, reason))
        except queue.Full:
            self.dropped += 1

    def close(self, seconds: float) -> None:
        """Write what waits, for so long at the most."""
        try:
            self._lines.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(seconds)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            self._audit.refused(*line)


class Audited:
    """Middleware, outermost: every answer of 400 to 499 is a line, with the key's id where the app knows it."""

    def __init__(self, app: ASGIApp, audit: AuditThread) -> None:
        self._app, self._audit = app, audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = 0
        body = b""

        async def listening(message: Message) -> None:
            nonlocal refused, body
            if message["type"] == "http.response.start" and 400 <= message["status"] < 500:
                refused = message["status"]
            elif refused and message["type"] == "http.response.body":
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    self._note(scope, refused, body)
            await send(message)

        await self._app(scope, receive, listening)

    def _note(self, scope: Scope, status: int, body: bytes) -> None:
        client, state = scope.get("client"), scope.get("state", {})
        self._audit.refused(
            client[0] if client else "", state.get("key_id"), scope["method"], scope["path"], status, _reason(body)
        )


def _reason(body: bytes) -> str:
    """The problem's detail."""
    try:
        document: Any = json.loads(body)
        return str(document["detail"])
    except (ValueError, KeyError, TypeError):
        return ""
