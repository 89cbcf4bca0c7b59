"""Refusals as RFC 9457 problem documents, whoever refuses."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

PROBLEM = "application/problem+json"


def problem(status: int, title: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """A refusal: its status, what it is in two or three words, what is wrong and what to do; `more` members beside them."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail} | more
    return JSONResponse(body, status_code=status, media_type=PROBLEM, headers=headers)


def answer_problems(app: FastAPI) -> None:
    """What the framework refuses by itself is a problem document, too: 400 names each parameter and why."""

    @app.exception_handler(RequestValidationError)
    def wrong(_request: Request, error: RequestValidationError) -> Response:
        errors = [{"where": ".".join(str(part) for part in one["loc"]), "why": one["msg"]} for one in error.errors()]
        detail = "; ".join(f"{one['where']}: {one['why']}" for one in errors)
        return problem(400, "Bad request", detail, errors=errors)

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        detail = f"{request.method} {request.url.path}: {error.detail}"
        return problem(error.status_code, str(error.detail), detail, error.headers)
