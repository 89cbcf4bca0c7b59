"""Whom a server answers: only requests that name it, and only pages that come from it; with headers that fence its answers.

A web page whose name was pointed at 127.0.0.1, or that posts to it from elsewhere, must reach nothing through its visitor's
browser. Pure ASGI: answers may be streams without an end.
"""

from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.http.problem import problem

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
EVERYWHERE = frozenset({"0.0.0.0", "::"})
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
DEFAULTS = {"cache-control": "no-store"}
"""Of answers that don't say otherwise."""
log = structlog.get_logger()


class Guard:
    """Middleware. `host`: the address that the server listens on."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app, self._host = app, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begun = []

        async def fenced(message: Message) -> None:
            if message["type"] == "http.response.start":
                begun.append(True)
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers.update(HEADERS)
                for name, value in DEFAULTS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(dict(scope["headers"]))
        try:
            await (refusal or self._app)(scope, receive, fenced)
        except Exception:
            if begun:
                raise
            log.exception("a request failed", method=scope["method"], path=scope["path"])
            await problem(500, "Failed", "this is a defect of the server: its log says more")(scope, receive, fenced)

    def _refusal(self, headers: dict[bytes, bytes]) -> Any:
        named = headers.get(b"host", b"").decode("latin-1")
        if not is_ours(self._host, named):
            return problem(421, "Misdirected request", "the Host header names another host than this server's")
        if headers.get(b"sec-fetch-site") == b"cross-site" and headers.get(b"sec-fetch-mode") != b"navigate":
            return problem(403, "Another site", "a page of another site has no business here")
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").partition("://")[2] != named:
            return problem(403, "Another origin", "a page of another origin has no business here")
        return None


def is_ours(host: str, header: str) -> bool:
    """Whether a Host header names the server that listens on `host`."""
    named = header[1:].partition("]")[0] if header.startswith("[") else header.rpartition(":")[0] or header
    return host in EVERYWHERE or named.lower() in LOOPBACK | {host.lower()}
