"""The refusals that operations have in common, as OpenAPI tells them."""

from typing import Any

from pydantic import BaseModel, Field

from pipeline.http.problem import PROBLEM


class Wrong(BaseModel):
    where: str = Field(description="place and name of the parameter")
    why: str


class Problem(BaseModel):
    """What was refused, and why (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = Field(description="what is wrong and what to do, in a sentence")
    errors: list[Wrong] | None = Field(None, description="of a bad request: each parameter that is wrong")


WHY = {
    400: "A parameter is wrong; the answer names each.",
    403: "A page of another origin asks.",
    404: "There is no such thing.",
    406: "The caller does not accept JSON.",
    409: "Another run's store is asked for.",
    413: "The body is too long.",
    414: "The query is too long.",
    421: "The Host header names another host.",
    431: "The headers are too long.",
    503: "The engine is away or busy, or has not begun: try again.",
}
GUARDED = (403, 421)
"""Of every operation (pipeline/http/guard.py)."""
RETRY = {"Retry-After": "1"}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that refuses with these."""
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": WHY[status], "content": content} for status in statuses}
