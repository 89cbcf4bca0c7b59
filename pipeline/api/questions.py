"""The questions of the query API."""

from fastapi import APIRouter

from pipeline.settings import Settings
from pipeline.store.ask import Asked


def question_routes(settings: Settings, asked: Asked) -> APIRouter:  # noqa: ARG001
    return APIRouter(prefix="/v1")
