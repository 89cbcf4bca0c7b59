"""What the OpenAPI document says beyond what the routes themselves do: bodies that the app reads by itself, every refusal.

docs/openapi/gateway.json is this document; a test holds both together.
"""

from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

import schemas
from pipeline.http.problem import PROBLEM
from producers.gateway.items import Incoming

REFERENCE = "#/components/schemas/{model}"
OPTIONAL = ("event_id", "sent_at")
"""Of an event: what the gateway can fill in."""


class Wrong(BaseModel):
    """One thing that is wrong with an item."""

    field: str = Field(description="empty where it is the item as a whole")
    why: str


class AcceptedItem(BaseModel):
    """Kafka has it."""

    index: int
    status: Literal["accepted"]
    event_id: str
    partition: int
    offset: int


class RefusedItem(BaseModel):
    """It is no event, and was not published."""

    index: int
    status: Literal["refused"]
    event_id: str | None
    errors: list[Wrong]


class UnsureItem(BaseModel):
    """Of a call that is answered 503: not in the log, or nobody knows."""

    index: int
    status: Literal["failed", "unknown"]
    event_id: str


class Published(BaseModel):
    """What became of a call: everything that isn't refused lies in the log."""

    run: str
    accepted: int
    refused: int
    items: list[AcceptedItem | RefusedItem]


class Problem(BaseModel):
    """A refusal (RFC 9457). `items`: where each one's fate differs. `errors`: of parameters."""

    type: str
    title: str
    status: int
    detail: str
    items: list[AcceptedItem | RefusedItem | UnsureItem] | None = None
    errors: list[dict[str, str]] | None = None


class Dependency(BaseModel):
    """Whether it lets the gateway publish, and why it doesn't."""

    ok: bool
    reason: str | None


class Ready(BaseModel):
    """Whether calls can be answered, and what is in the way."""

    status: Literal["ready", "not ready"]
    run: str
    dependencies: dict[Literal["kafka", "state", "keys"], Dependency]
    breaker: Literal["closed", "open", "half_open"]


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REFERENCE.format(model=model.__name__)}


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


def _refusal(description: str, *headers: str) -> dict[str, Any]:
    return {
        "description": description,
        "headers": {name: HEADERS[name] for name in headers},
        "content": {PROBLEM: {"schema": _reference(Problem)}},
    }


LIMITS = ("RateLimit-Policy", "RateLimit")
HEADERS = {
    "Retry-After": _header("seconds until another try is worth it"),
    "WWW-Authenticate": _header("how to send an API key"),
    "RateLimit-Policy": _header("the key's limit: q events in any w seconds"),
    "RateLimit": _header("of it, r events are left; all of it is back in t seconds"),
    "Idempotency-Replayed": _header("true: this answer was given before"),
}
_ANYWHERE = {
    400: _refusal("Not a request that can be read"),
    403: _refusal("The page that asks is of another origin, or the key is not for this"),
    408: _refusal("Headers or body were not sent in time"),
    421: _refusal("The Host header names another host"),
    431: _refusal("Request line and headers are too long"),
}
PLAYS: dict[str, Any] = {
    "status_code": 202,
    "response_description": "Kafka has acknowledged every item that isn't refused",
    "summary": "Publish events",
    "responses": _ANYWHERE
    | {
        202: {
            "description": "Kafka has acknowledged every item that isn't refused",
            "headers": {name: HEADERS[name] for name in (*LIMITS, "Idempotency-Replayed")},
            "content": {"application/json": {"schema": _reference(Published)}},
        },
        400: _refusal("The body is no JSON, or an id is missing and there is no Idempotency-Key, or that one is malformed"),
        401: _refusal("No API key, or an unknown one", "WWW-Authenticate"),
        403: _refusal("The key has no scope publish, or there is no such key at all, or the page is of another origin"),
        409: _refusal("A call with this Idempotency-Key is being answered", "Retry-After", *LIMITS),
        413: _refusal("The body is too large, or it holds too many events, or more than the key's limit", *LIMITS),
        415: _refusal("The body is not application/json, or it is encoded", *LIMITS),
        422: _refusal("No item is a valid event, or the Idempotency-Key belongs to another body", *LIMITS),
        429: _refusal("The key's limit is spent", "Retry-After", *LIMITS),
        503: _refusal("Kafka does not acknowledge, or too much waits for it: send the call again", "Retry-After"),
    },
    "openapi_extra": {
        "security": [{"key": []}],
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "makes a retry repeat the answer; required where an event carries no event_id",
                "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "oneOf": [
                            {"$ref": REFERENCE.format(model="Event")},
                            {"type": "array", "minItems": 1, "items": {"$ref": REFERENCE.format(model="Event")}},
                            {
                                "type": "object",
                                "required": ["events"],
                                "additionalProperties": False,
                                "properties": {
                                    "events": {
                                        "type": "array",
                                        "minItems": 1,
                                        "items": {"$ref": REFERENCE.format(model="Event")},
                                    }
                                },
                            },
                        ]
                    }
                }
            },
        },
    },
}
HEALTH: dict[str, Any] = {"summary": "Whether the process lives", "responses": _ANYWHERE}
_KEYED = _ANYWHERE | {401: _refusal("Beyond loopback: no API key, or an unknown one", "WWW-Authenticate")}
READY: dict[str, Any] = {
    "summary": "Whether calls can be answered",
    "response_description": "They can",
    "responses": _KEYED
    | {
        200: {"description": "They can", "content": {"application/json": {"schema": _reference(Ready)}}},
        503: {"description": "They can't", "content": {"application/json": {"schema": _reference(Ready)}}},
    },
}
METRICS: dict[str, Any] = {
    "summary": "Metrics in Prometheus' text format",
    "responses": _KEYED | {200: {"description": "Metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}},
}


def describe(app: FastAPI) -> None:
    """Make the app's document whole."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(title=app.title, version=app.version, routes=app.routes)
            components = found.setdefault("components", {})
            components["schemas"] = _schemas()
            components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _schemas() -> dict[str, Any]:
    models: list[Any] = [(model, "validation") for model in (Incoming, Published, Problem, Ready, UnsureItem)]
    _, found = models_json_schema(models, ref_template=REFERENCE)
    definitions: dict[str, Any] = found["$defs"]
    event = definitions.pop(Incoming.__name__)
    event |= {
        "title": "Event",
        "description": "One listen, reported when it ended. Instants are epoch milliseconds.",
        "required": [name for name in event["required"] if name not in OPTIONAL],
    }
    for name, allowed in schemas.limits().strings.items():
        event["properties"][name] |= {"minLength": allowed.min, "maxLength": allowed.max}
    return definitions | {"Event": event}
