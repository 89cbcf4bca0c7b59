"""How the store's own routes are told in OpenAPI: GET /ready, GET /schema, POST /sql."""

from typing import Any, Literal

from fastapi import Response
from pydantic import BaseModel, Field

from pipeline.api.problems import problems
from pipeline.store.ask import RUN_HEADER
from pipeline.store.fence import LONGEST

ARROW = "application/vnd.apache.arrow.stream"
PARAMETER = "param_"
"""Query-string prefix of a statement's parameters, as in ClickHouse's own HTTP interface."""


class Arrow(Response):
    media_type = ARROW


class SinkProgress(BaseModel):
    """Of one topic's sink."""

    lag: int = Field(description="records of the topic that are not stored yet")
    rows: int
    written: dict[str, int] = Field(description="rows by table")
    ignored: int
    next: dict[int, int] = Field(description="next offset to be read, by partition")


class StoreReady(BaseModel):
    status: Literal["ready", "starting"]
    reasons: list[str] = Field(description="why it is not ready")
    run: str
    database: str
    engine: str = Field(description="version; empty while none is open")
    topics: dict[str, SinkProgress]


_HEADER = {
    "name": RUN_HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "whose tables are meant: a store of another run answers 409",
}
_SQL = f"One SELECT over the run's tables, at most {LONGEST} bytes; what it may call is in docs/decisions.md."
READY: dict[str, Any] = {
    "response_model": StoreReady,
    "responses": {503: {"model": StoreReady, "description": "It is not ready; `reasons` say why."}},
}
SCHEMA: dict[str, Any] = {
    "response_model": dict[str, dict[str, str]],
    "response_description": "The run's tables by name: their columns and types",
    "responses": problems(409, 503),
    "openapi_extra": {"parameters": [_HEADER]},
}
SQL: dict[str, Any] = {
    "response_class": Arrow,
    "response_description": "The rows, as an Arrow stream",
    "responses": problems(400, 409, 413, 503),
    "openapi_extra": {
        "parameters": [
            _HEADER,
            {
                "name": "parameters",
                "in": "query",
                "required": False,
                "style": "form",
                "explode": True,
                "schema": {"type": "object", "additionalProperties": {"type": "string"}},
                "description": f"values of the statement's {{name:Type}}, each as `{PARAMETER}name=value`",
            },
        ],
        "requestBody": {
            "required": True,
            "description": _SQL,
            "content": {"text/plain": {"schema": {"type": "string", "maxLength": LONGEST}}},
        },
    },
}
