"""The questions of the query API.

GET ─► shortcut.py: answered just now? ─► parameters.py ─► cache.py: one computation ─► tops, timelines, lists ─► models.py
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response

from pipeline.api import lists, models, parameters, timelines, tops
from pipeline.api.cache import Cache
from pipeline.api.problems import RETRY, problems
from pipeline.api.shortcut import key_of
from pipeline.errors import ListeningError, UnavailableError
from pipeline.http.problem import problem
from pipeline.settings import Settings
from pipeline.store.ask import Asked

QUESTIONS = {
    "/v1/top-artists": "/v1/top-artists",
    "/v1/artists/": "/v1/artists/{artist_id}/timeline",
    "/v1/timeline": "/v1/timeline",
    "/v1/duplicates": "/v1/duplicates",
    "/v1/plays/": "/v1/plays/{event_id}",
    "/v1/batches": "/v1/batches",
}
"""Beginnings of their paths, and the routes' templates."""


CLOSE_SECONDS = 3.0
"""How long the end waits for questions at work; an engine under one that takes longer is left, not closed."""


class Caches:
    """One for questions that panes answer, which many ask all the time, and one for those that read raw rows: these may take
    seconds, and a few of them must not keep the others waiting. Their threads and the live state's are READERS."""

    def __init__(self, max_age_seconds: float) -> None:
        self.max_age_seconds = max_age_seconds
        self.quick, self.slow = Cache(max_age_seconds, threads=2), Cache(max_age_seconds, threads=1)

    async def close(self) -> None:
        await asyncio.gather(self.quick.close(CLOSE_SECONDS), self.slow.close(CLOSE_SECONDS))


def question_routes(settings: Settings, asked: Asked, caches: Caches) -> APIRouter:
    """The routes; their answers are kept in the caches under `key_of` the request."""
    refusals = problems(400, 406, 414, 431, 503)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await caches.close()

    router = APIRouter(
        prefix="/v1", tags=["questions"], dependencies=[Depends(parameters.once)], responses=refusals, lifespan=lifespan
    )
    max_age_ms = int(caches.max_age_seconds * 1000)

    async def answered(cache: Cache, request: Request, question: Callable[..., models.Aged], *about: Any) -> Response:
        def computed() -> bytes:
            found = question(settings, asked, *about).model_copy(update={"max_age_ms": max_age_ms})
            return found.model_dump_json(exclude={"age_ms"}).encode()

        try:
            body = await cache.answer(key_of(request.scope), computed)
        except timelines.UnknownError as error:
            return problem(404, "Unknown", str(error))
        except UnavailableError as error:
            return problem(503, "Not now", str(error), RETRY)
        except ListeningError as error:
            return problem(400, "Bad request", str(error))
        return Response(body, media_type="application/json")

    @router.get("/top-artists", response_model=models.TopAnswer)
    async def top_artists(request: Request, wanted: Annotated[parameters.TopArtists, Query()]) -> Response:
        """The top artists of any window that ends at any instant: from panes, from raw plays where those of a country or a
        platform are wanted, or as they were published."""
        cache = caches.slow if wanted.country or wanted.platform else caches.quick
        return await answered(cache, request, tops.top_artists, wanted)

    @router.get("/artists/{artist_id}/timeline", response_model=models.ArtistTimeline, responses=problems(404))
    async def artist_timeline(
        request: Request,
        artist_id: Annotated[parameters.Id, Path()],
        wanted: Annotated[parameters.Timeline, Query()],
    ) -> Response:
        """An artist's plays over time, by default over the last window before the watermark."""
        return await answered(caches.slow, request, timelines.artist_timeline, artist_id, wanted)

    @router.get("/timeline", response_model=models.RunTimeline)
    async def timeline(request: Request, wanted: Annotated[parameters.Timeline, Query()]) -> Response:
        """All plays over time, by default over the last window before the watermark."""
        return await answered(caches.quick, request, timelines.run_timeline, wanted)

    @router.get("/duplicates", response_model=models.DuplicatesPage)
    async def duplicates(request: Request, wanted: Annotated[parameters.Duplicates, Query()]) -> Response:
        """Copies that were left out of the counts, a page at a time; from and to are of event time."""
        return await answered(caches.slow, request, lists.duplicates, wanted)

    @router.get("/plays/{event_id}", response_model=models.Story, responses=problems(404))
    async def play(request: Request, event_id: uuid.UUID, _nothing: Annotated[parameters.Parameters, Query()]) -> Response:
        """Where the copies of one event lie in the source log, and what became of each."""
        return await answered(caches.slow, request, lists.play, event_id)

    @router.get("/batches", response_model=models.BatchesPage)
    async def batches(request: Request, wanted: Annotated[parameters.Batches, Query()]) -> Response:
        """What became of the source log, batch by batch, newest first."""
        return await answered(caches.slow, request, lists.batches, wanted)

    return router
