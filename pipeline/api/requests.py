"""Counts HTTP requests by route template and status: never by path, of which there are as many as anybody likes."""

from collections import Counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
"""A method or a path that nothing here serves."""


class Requests:
    """`counts`: (method, route, status) → answers that were begun."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, int]] = Counter()

    def add(self, scope: Scope, status: int) -> None:
        method, route = scope["method"], getattr(scope.get("route"), "path", OTHER)
        self.counts[method if method in METHODS else OTHER, route, status] += 1


class Counted:
    """Middleware. An answer counts when it begins: a stream may not end for days."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app, self._requests = app, requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begun = []

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                begun.append(True)
                self._requests.add(scope, message["status"])
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception:
            if not begun:  # the guard will answer for it
                self._requests.add(scope, 500)
            raise
