"""GET /v1/storage: what one question takes, asked of raw plays, of panes and of the published lists."""

import threading
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from pipeline.api.documents import iso
from pipeline.errors import ListeningError
from pipeline.http.problem import PROBLEM, problem
from pipeline.settings import Settings
from pipeline.store.ask import Asked
from pipeline.store.client import Pool
from pipeline.store.compare import REPEATED, Comparison, Name, NothingFinalError, compare

LONGEST_SECONDS = 31_622_400
"""A year."""
_AGAIN = {"retry-after": "1"}


class Way(BaseModel):
    """An answer's cost, as the engine itself says; medians. The table's rows and bytes are all that it stores."""

    source: Name
    table: str
    rows_read: int
    bytes_read: int
    milliseconds: float
    rows_stored: int
    bytes_on_disk: int


class Storage(BaseModel):
    """`k`: how many artists were asked for; `repeated`: how often. `difference`: the first place that differs."""

    run: str
    start: str | None
    end: str | None
    window_seconds: int
    k: int
    repeated: int
    ways: list[Way]
    agree: bool
    difference: str
    note: str


def storage_routes(settings: Settings, pool: Pool, asked: Asked) -> APIRouter:
    router, at_work = APIRouter(prefix="/v1", tags=["storage"]), threading.Lock()
    refusals: dict[int | str, dict[str, object]] = {
        400: {"content": {PROBLEM: {}}, "description": "A parameter that can't be, by name"},
        404: {"content": {PROBLEM: {}}, "description": "No window is final yet"},
        503: {"content": {PROBLEM: {}}, "description": "The engine is away, or compares already"},
    }

    @router.get("/storage", response_model=Storage, responses=refusals)
    def storage(
        window: Annotated[int | None, Query(ge=1, le=LONGEST_SECONDS, description="Length, seconds; whole panes")] = None,
        at: Annotated[datetime | None, Query(description="The window ends by then; UTC where no zone is named")] = None,
    ) -> Response:
        """The same top artists three ways: rows read, time, room on disk, and whether they agree."""
        if not at_work.acquire(blocking=False):
            return problem(503, "Busy", "a comparison is under way: ask again when it is over", _AGAIN)
        try:
            found = compare(settings, pool, asked, window or settings.window_seconds, _ms(at))
        except NothingFinalError as error:
            return problem(404, "Nothing final", str(error))
        except ListeningError as error:
            return problem(503, "Not now", str(error), _AGAIN)
        finally:
            at_work.release()
        return Response(_document(settings, found).model_dump_json(), media_type="application/json")

    return router


def _ms(at: datetime | None) -> int | None:
    if at is None:
        return None
    return max(0, int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000))


def _document(settings: Settings, found: Comparison) -> Storage:
    return Storage(
        run=settings.run,
        start=iso(found.start_ms),
        end=iso(found.end_ms),
        window_seconds=(found.end_ms - found.start_ms) // 1000,
        k=found.k,
        repeated=REPEATED,
        ways=[
            Way(
                source=way.name,
                table=way.table,
                rows_read=way.rows_read,
                bytes_read=way.bytes_read,
                milliseconds=way.milliseconds,
                rows_stored=way.rows_stored,
                bytes_on_disk=way.bytes_on_disk,
            )
            for way in found.ways
        ],
        agree=not found.difference,
        difference=found.difference,
        note=found.note,
    )
