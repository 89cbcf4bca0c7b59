"""The app's OpenAPI document, /openapi.json: its refusals told as they are."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from pipeline.api.problems import GUARDED, WHY, Problem, Wrong, problems
from pipeline.http.problem import PROBLEM

REF = "#/components/schemas/{model}"


def describe(app: FastAPI) -> None:
    """Let the app tell its refusals as they are: problem documents, shared by all operations."""

    def document() -> dict[str, Any]:
        if not app.openapi_schema:
            app.openapi_schema = _with_problems(get_openapi(title=app.title, version=app.version, routes=app.routes))
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _with_problems(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for model in (Problem, Wrong):
        schemas[model.__name__] = model.model_json_schema(ref_template=REF)
        schemas[model.__name__].pop("$defs", None)
    for operation in [one for methods in document["paths"].values() for one in methods.values()]:
        answers = operation["responses"]
        answers.pop("422", None)  # the framework's: ours is 400
        for status in GUARDED:
            answers[str(status)] = problems(status)[status]
        for status, answer in answers.items():
            if list(answer.get("content", ())) == [PROBLEM] and int(status) in WHY:
                answers[status] = {"$ref": f"#/components/responses/{status}"}
        operation["responses"] = dict(sorted(answers.items()))
    document["components"]["responses"] = {str(status): answer for status, answer in problems(*WHY).items()}
    return document
