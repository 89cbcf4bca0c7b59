"""What the run is doing now: a stream of states, health, metrics."""

from fastapi import APIRouter

from pipeline.settings import Settings
from pipeline.store.ask import Asked
from pipeline.store.client import Pool
from pipeline.store.sinks import Sinks


def live_routes(settings: Settings, pool: Pool, asked: Asked, sinks: Sinks) -> APIRouter:  # noqa: ARG001
    return APIRouter(prefix="/v1")
