"""The way of a question that was answered just now: past the framework, in some microseconds.

GET ─► is it fit to be answered ─► in the cache: its bytes ─► out
                                └► else: the app
"""

from collections.abc import Iterable

from fastapi import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.api.cache import Cache
from pipeline.http.problem import problem

PREFIX = "/v1/"
MOST_QUERY, MOST_HEADERS = 4096, 32 << 10
JSON = (b"application/json", b"application/*", b"*/*")
Key = tuple[str, bytes]


def key_of(scope: Scope) -> Key:
    """What an answer is stored under: the path and the query as they were sent."""
    return scope["path"], scope["query_string"]


class Stored:
    """Middleware. `questions`: beginnings of the paths that it looks after."""

    def __init__(self, app: ASGIApp, cache: Cache, questions: Iterable[str]) -> None:
        self._app, self._cache, self._questions = app, cache, tuple(questions)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(self._questions):
            await self._app(scope, receive, send)
            return
        if refusal := _refusal(scope):
            await refusal(scope, receive, send)
            return
        body = self._cache.hit(key_of(scope))
        if body is None:
            await self._app(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _refusal(scope: Scope) -> Response | None:
    if len(scope["query_string"]) > MOST_QUERY:
        return problem(414, "Too long", f"the query is longer than {MOST_QUERY} bytes")
    size = 0
    for name, value in scope["headers"]:
        size += len(name) + len(value)
        if name == b"accept" and not any(part.partition(b";")[0].strip().lower() in JSON for part in value.split(b",")):
            return problem(406, "Not acceptable", "answers are application/json: accept that, or leave Accept out")
        if (name == b"content-length" and value != b"0") or name == b"transfer-encoding":
            return problem(400, "Bad request", "a question has no body: leave it out")
    if size > MOST_HEADERS:
        return problem(431, "Too long", f"the headers are longer than {MOST_HEADERS} bytes")
    return None
