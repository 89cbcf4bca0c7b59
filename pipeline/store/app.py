"""The store's HTTP: GET /ready, GET /schema, POST /sql, and the schemas folder as a registry (pipeline/registry/http.py)."""

import anyio
import anyio.to_thread
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse

from pipeline.api.serve import serve_api
from pipeline.errors import ListeningError, UnavailableError
from pipeline.http.authorize import Authorize, is_loopback
from pipeline.http.guard import Guard
from pipeline.http.keys import KeyRing
from pipeline.http.problem import answer_problems, problem
from pipeline.registry.http import serve_registry
from pipeline.settings import Settings
from pipeline.store.answer import answer
from pipeline.store.ask import RUN_HEADER
from pipeline.store.client import GUESTS, Pool
from pipeline.store.describe import Catalogue
from pipeline.store.fence import LONGEST
from pipeline.store.sinks import Sinks, reasons_against
from pipeline.store.told import PARAMETER, READY, SCHEMA, SQL, Arrow

WAITING = 12
"""User queries that wait for a guest's seat: in threads of their own, so that they keep nobody else from one."""


class AnotherRunError(Exception):
    """Asked was for another run than this store's."""


def make_app(settings: Settings, pool: Pool, sinks: Sinks) -> FastAPI:
    """The app over a pool and sinks that may still be starting, or waiting for their server."""
    app = FastAPI(title="listening store", docs_url=None, redoc_url=None)
    if not settings.schema_registry_url:
        serve_registry(app, settings)
    serve_api(app, settings, pool, sinks)
    catalogue = Catalogue(pool, settings.database)
    seats, threads = anyio.Semaphore(GUESTS + WAITING), anyio.CapacityLimiter(GUESTS + WAITING)

    if not is_loopback(settings.store_host):
        app.add_middleware(Authorize, keys=KeyRing(settings.keys_file), scope="read", open_paths=["/v1/health"])
    app.add_middleware(Guard, host=settings.store_host)
    answer_problems(app)

    async def refuse_another_run(request: Request) -> None:
        wanted = request.headers.get(RUN_HEADER, settings.run)
        if wanted != settings.run:
            raise AnotherRunError(
                f"the store at {settings.store_url} is that of run {settings.run}, {wanted} is not up: "
                f"ask with --run {settings.run}, or start {wanted} instead"
            )

    @app.exception_handler(AnotherRunError)
    def another_run(_request: Request, error: AnotherRunError) -> Response:
        return problem(409, "Another run's", str(error))

    @app.get("/ready", **READY)
    async def ready() -> Response:
        """Whether all runs, and how far each sink is."""
        reasons = reasons_against(sinks)
        body = {
            "status": "starting" if reasons else "ready",
            "reasons": reasons,
            "run": settings.run,
            "database": settings.database,
            "engine": pool.version,
            "topics": {
                kind: {
                    "lag": progress.lag,
                    "rows": progress.rows,
                    "written": progress.written,
                    "ignored": progress.ignored,
                    "next": progress.next,
                }
                for kind, progress in sinks.progress.copy().items()
            },
        }
        return JSONResponse(body, status_code=503 if reasons else 200)

    @app.get("/schema", dependencies=[Depends(refuse_another_run)], **SCHEMA)
    def schema() -> Response:
        """The run's tables."""
        try:
            return JSONResponse(catalogue.tables())
        except ListeningError as error:
            return problem(503, "Not yet", str(error))

    @app.post("/sql", dependencies=[Depends(refuse_another_run)], **SQL)
    async def sql(request: Request) -> Response:
        """ClickHouse: one SELECT over the run's tables, within limits."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LONGEST:
                return problem(413, "Too long", f"the SQL is longer than {LONGEST} bytes")
        parameters = {
            name.removeprefix(PARAMETER): value for name, value in request.query_params.items() if name.startswith(PARAMETER)
        }
        # Taken at once: between a look whether one is free and a thread's own asking, others would look, too.
        try:
            seats.acquire_nowait()
        except anyio.WouldBlock:
            return problem(503, "Busy", f"{threads.total_tokens:g} queries are at work or wait already: try again later")
        try:
            return await anyio.to_thread.run_sync(_answer, pool, catalogue, body, parameters, limiter=threads)
        finally:
            seats.release()

    return app


def _answer(pool: Pool, catalogue: Catalogue, body: bytes, parameters: dict[str, str]) -> Response:
    try:
        text = body.decode()
        return Arrow(answer(pool, catalogue.database, catalogue.tables(), text, parameters))
    except UnicodeDecodeError:
        return problem(400, "Bad SQL", "the SQL is not UTF-8")
    except UnavailableError as error:
        return problem(503, "Busy", str(error))
    except ListeningError as error:
        return problem(400, "Bad SQL", str(error))
