"""The API's routes on the store's app.

/v1/top-artists, artists, duplicates, plays, batches ─► questions.py      /v1/live, state, ready, metrics ─► live.py
/v1/storage ─► storage.py      / ─► page.py      /openapi.json ─► described.py
"""

from fastapi import FastAPI

from pipeline.api.described import describe
from pipeline.api.live import live_routes
from pipeline.api.page import serve_page
from pipeline.api.questions import QUESTIONS, Caches, question_routes
from pipeline.api.requests import Counted, Requests
from pipeline.api.shortcut import Shortcut
from pipeline.api.storage import storage_routes
from pipeline.settings import Settings
from pipeline.store.client import Pool
from pipeline.store.local import Local
from pipeline.store.sinks import Sinks


def serve_api(app: FastAPI, settings: Settings, pool: Pool, sinks: Sinks) -> None:
    """Add them all."""
    asked, caches, requests = Local(pool), Caches(settings.api_cache_seconds), Requests()
    app.include_router(question_routes(settings, asked, caches))
    app.add_middleware(Shortcut, caches=(caches.quick, caches.slow), questions=QUESTIONS)
    app.include_router(storage_routes(settings, pool, asked))
    app.include_router(live_routes(settings, asked, sinks, requests))
    app.add_middleware(Counted, requests=requests)  # outside the shortcut: what it answers counts, too
    serve_page(app)
    describe(app)
