"""What the run is doing now: its state, a stream of states, health, metrics.

engine, Kafka, sinks ─► watch ─► feed (one producer) ─► /v1/state, /v1/live, /v1/ready, /metrics
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from pipeline.api.documents import Health, Ready, State
from pipeline.api.feed import MOST_LISTENERS, Feed
from pipeline.api.metrics import exposition
from pipeline.api.requests import Requests
from pipeline.api.stream import MEDIA_TYPE, EventStream, event
from pipeline.api.watch import Seen, Watch
from pipeline.http.problem import PROBLEM, problem
from pipeline.settings import Settings
from pipeline.store.ask import Asked
from pipeline.store.sinks import Sinks


@dataclass(frozen=True, slots=True)
class Shown:
    """What was seen, as it is sent: made once, however many get it."""

    seen: Seen
    text: str


def live_routes(settings: Settings, asked: Asked, sinks: Sinks, requests: Requests) -> APIRouter:
    """The routes; their feed ends when the server does (`app.state.end_streams`, see pipeline/store/serve.py)."""
    watch = Watch(settings, asked, sinks)

    async def see() -> Shown:
        seen = await watch.see()
        return Shown(seen, seen.state.model_dump_json())

    feed: Feed[Shown] = Feed(see, watch.rest, settings.api_cache_seconds)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.end_streams = feed.end
        yield
        feed.end()
        await watch.end()

    router = APIRouter(lifespan=lifespan, tags=["live"])

    @router.get("/v1/state", response_model=State)
    async def state() -> Response:
        """What the run is doing now: totals, rates, lag, the top artists, and whether all is well."""
        return Response((await feed.current()).text, media_type="application/json")

    @router.get(
        "/v1/live",
        response_class=Response,
        responses={
            200: {
                "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
                "description": "`event: state`, about one a second",
            },
            503: {"content": {PROBLEM: {}}, "description": "Too many listen"},
        },
    )
    async def live() -> Response:
        """The state as server-sent events: one at once, then about one a second."""
        listener = feed.join()
        if listener is None:
            remedy = f"{MOST_LISTENERS} streams are open: close one, or ask /v1/state"
            return problem(503, "Too many listen", remedy, {"retry-after": "1"})
        return EventStream(feed, listener, lambda shown: event("state", shown.text))

    @router.get("/v1/health")
    async def health() -> Health:
        """That this process answers, whatever it waits for."""
        return Health()

    @router.get("/v1/ready", response_model=Ready, responses={503: {"model": Ready, "description": "Something is not well"}})
    async def ready() -> Response:
        """Whether the run is at work, and what is not well."""
        found = (await feed.current()).seen.ready
        return Response(
            found.model_dump_json(),
            status_code=200 if found.status == "ready" else 503,
            media_type="application/json",
        )

    @router.get("/metrics", response_class=PlainTextResponse, include_in_schema=False)
    @router.get("/v1/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """The run in Prometheus' text format."""
        seen = (await feed.current()).seen
        text = await run_in_threadpool(exposition, seen, sinks.progress.copy(), requests, settings.run_dir / "metrics")
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return router
