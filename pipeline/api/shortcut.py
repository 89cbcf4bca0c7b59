"""The way of a question that was answered just now: past the framework, in some microseconds.

GET ─► is it fit to be answered ─► in the cache: its bytes ─► out
                                └► else: the app
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fastapi import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.api.cache import Cache
from pipeline.http.problem import problem

MOST_QUERY, MOST_HEADERS = 4096, 32 << 10
JSON = (b"application/json", b"application/*", b"*/*")
Key = tuple[str, bytes]


def key_of(scope: Scope) -> Key:
    """What an answer is stored under: the path and the query as they were sent."""
    return scope["path"], scope["query_string"]


class Route(NamedTuple):
    path: str


class Shortcut:
    """Middleware. `questions`: beginnings of the paths that it looks after, each with its route's template."""

    def __init__(self, app: ASGIApp, caches: Iterable[Cache], questions: Mapping[str, str]) -> None:
        self._app, self._caches = app, tuple(caches)
        self._routes = {beginning: Route(template) for beginning, template in questions.items()}
        self._beginnings = tuple(questions)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(self._beginnings):
            await self._app(scope, receive, send)
            return
        if refusal := _refusal(scope):
            self._routed(scope)
            await refusal(scope, receive, send)
            return
        key = key_of(scope)
        for cache in self._caches:
            if (body := cache.hit(key)) is not None:
                break
        else:
            await self._app(scope, receive, send)
            return
        self._routed(scope)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _routed(self, scope: Scope) -> None:
        """Say which route it was, as the router would have: requests are counted by that."""
        scope["route"] = next(route for start, route in self._routes.items() if scope["path"].startswith(start))


def _refusal(scope: Scope) -> Response | None:
    if len(scope["query_string"]) > MOST_QUERY:
        return problem(414, "Too long", f"the query is longer than {MOST_QUERY} bytes")
    size, accepts = 0, list[bytes]()
    for name, value in scope["headers"]:
        size += len(name) + len(value)
        if name == b"accept":
            accepts += value.split(b",")
        if (name == b"content-length" and value != b"0") or name == b"transfer-encoding":
            return problem(400, "Bad request", "a question has no body: leave it out")
    if size > MOST_HEADERS:
        return problem(431, "Too long", f"the headers are longer than {MOST_HEADERS} bytes")
    if accepts and not any(part.partition(b";")[0].strip().lower() in JSON for part in accepts):
        return problem(406, "Not acceptable", "answers are application/json: accept that, or leave Accept out")
    return None
