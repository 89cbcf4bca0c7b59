"""The gateway's HTTP: POST /v1/plays, GET /v1/health, GET /v1/ready, GET /metrics, GET /openapi.json.

Audited ─► Guard (Host, Origin) ─► POST /v1/plays: key ─► media type ─► Idempotency-Key ─► body ─► Calls
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from pipeline.errors import ListeningError
from pipeline.http.authorize import WrongKeyError, is_loopback, key_of_call, requires
from pipeline.http.guard import Guard
from pipeline.http.keys import Key, KeyRing
from pipeline.http.problem import answer_problems, problem
from pipeline.settings import Settings
from producers.gateway.answers import CallRefusedError, retry_after
from producers.gateway.document import HEALTH, METRICS, PLAYS, READY, describe
from producers.gateway.parts import Parts
from producers.gateway.refusals import Audited

VERSION = "1"
JSON = "application/json"
EVENT_MEDIA = re.compile(r'application/json(\s*;\s*charset="?utf-8"?)?\s*', re.IGNORECASE)
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,200}")
NO_KEYS = "nobody may publish yet: make a key with `listening keys add NAME`"


Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def make_app(parts: Parts, lifespan: Lifespan | None = None) -> FastAPI:
    """The app; `lifespan` runs what runs beside it."""
    settings, calls = parts.settings, parts.calls
    app = FastAPI(
        title="listening gateway",
        version=VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan or _nothing,
    )
    app.add_middleware(Guard, host=settings.gateway_host)
    app.add_middleware(Audited, audit=parts.audit)
    answer_problems(app)
    guarded = not is_loopback(settings.gateway_host)

    @app.exception_handler(CallRefusedError)
    def refused(_request: Request, error: CallRefusedError) -> Response:
        return problem(error.status, error.title, error.detail, error.headers, **error.more)

    @app.exception_handler(WrongKeyError)
    def unknown(_request: Request, error: WrongKeyError) -> Response:
        return problem(error.status, error.title, error.detail, error.headers)

    @app.exception_handler(ListeningError)
    def unavailable(_request: Request, _error: ListeningError) -> Response:
        # Its sentence names files of this machine: it is told where the operator looks.
        return problem(503, "Not now", "the gateway can't answer just now: GET /v1/ready says why", retry_after(1))

    @app.post("/v1/plays", **PLAYS)
    async def publish(request: Request) -> Response:
        began = time.monotonic()
        try:
            response = await _publish(parts, request)
        except CallRefusedError as error:
            response = refused(request, error)
        except WrongKeyError as error:
            response = unknown(request, error)
        except ListeningError as error:
            response = unavailable(request, error)
        key: Key | None = getattr(request.state, "key", None)
        if key is not None:
            response.headers.update(await calls.limit_headers(key, getattr(request.state, "verdict", None)))
        parts.metrics.answered(response.status_code, time.monotonic() - began)
        return response

    @app.get("/v1/health", **HEALTH)
    async def health() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/v1/ready", **READY)
    async def ready(request: Request) -> Response:
        if guarded:
            key_of_call(parts.keys, request.headers)
        dependencies = {name: {"ok": not why, "reason": why or None} for name, why in (await _reasons(parts)).items()}
        is_ready = all(entry["ok"] for entry in dependencies.values())
        body = {"status": "ready" if is_ready else "not ready", "run": settings.run, "dependencies": dependencies}
        body["breaker"] = parts.breaker.state
        return JSONResponse(body, status_code=200 if is_ready else 503)

    @app.get("/metrics", **METRICS)
    async def metrics(request: Request) -> Response:
        if guarded:
            key_of_call(parts.keys, request.headers)
        text = parts.metrics.text(parts.breaker, parts.publisher.in_flight, parts.audit.dropped)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/openapi.json", include_in_schema=False)
    async def document(request: Request) -> Response:
        if guarded:
            key_of_call(parts.keys, request.headers)
        return JSONResponse(app.openapi())

    describe(app)
    return app


async def _publish(parts: Parts, request: Request) -> Response:
    if not parts.keys.has("publish"):
        raise CallRefusedError(403, "Publishing is off", NO_KEYS)
    key = key_of_call(parts.keys, request.headers, basic=False)
    request.state.key_id = key.id
    requires(key, "publish")
    request.state.key = key
    _require_json(request)
    idempotency_key = _idempotency_key(request)
    body = await _body(request, parts.settings)
    answer = await parts.calls.answer(key, idempotency_key, body)
    request.state.verdict = answer.verdict
    headers = {"Idempotency-Replayed": "true"} if answer.replayed else None
    return Response(answer.body, answer.status, headers, media_type=JSON)


def _require_json(request: Request) -> None:
    media, coding = request.headers.getlist("content-type"), request.headers.getlist("content-encoding")
    if len(media) != 1 or not EVENT_MEDIA.fullmatch(media[0]):
        raise CallRefusedError(415, "Not JSON", f"the Content-Type must be {JSON}", {"Accept": JSON})
    if coding and coding != ["identity"]:
        raise CallRefusedError(415, "Encoded", "send the body without a Content-Encoding", {"Accept-Encoding": "identity"})


def _idempotency_key(request: Request) -> str | None:
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    if len(given) > 1 or not IDEMPOTENCY_KEY.fullmatch(given[0]):
        raise CallRefusedError(400, "Bad Idempotency-Key", "it must be 1 to 200 visible ASCII characters, and there once")
    return given[0]


async def _body(request: Request, settings: Settings) -> bytes:
    most, seconds = settings.gateway_body_bytes, settings.gateway_client_seconds
    too_large = CallRefusedError(413, "Too large", f"a body may have {most} bytes: split the call")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > most:
        raise too_large
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise too_large
                parts.append(part)
    except TimeoutError:
        raise CallRefusedError(
            408, "Too slow", f"the body was not there after {seconds:g} s", {"Connection": "close"}
        ) from None
    except ClientDisconnect:
        raise CallRefusedError(400, "Cut off", "the client closed the connection within the body") from None
    return b"".join(parts)


async def _reasons(parts: Parts) -> dict[str, str]:
    """By dependency, why it keeps the gateway from publishing; empty where it doesn't."""
    kafka = parts.calls.kafka.why_not
    # Once its time is over it counts as ready: without a call there would be no probe, and never one again.
    if not kafka and parts.breaker.wait(time.monotonic()):
        kafka = f"the last {parts.breaker.failures} calls were not acknowledged (the breaker is {parts.breaker.state})"
    return {"kafka": kafka, "state": await _state_reason(parts), "keys": _keys_reason(parts.keys)}


async def _state_reason(parts: Parts) -> str:
    try:
        await parts.state.check()
    except ListeningError as error:
        return str(error)
    return ""


def _keys_reason(keys: KeyRing) -> str:
    try:
        return "" if keys.has("publish") else NO_KEYS
    except ListeningError as error:
        return str(error)


@asynccontextmanager
async def _nothing(_app: FastAPI) -> AsyncIterator[None]:
    yield
