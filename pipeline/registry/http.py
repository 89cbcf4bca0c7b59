"""The schemas folder in the form of Confluent's registry, to read: stock deserializers and kcat need no other.

Source: https://docs.confluent.io/platform/current/schema-registry/develop/api.html. A topic of the run has the run's name
before its own, and so may its subject: `live.playback-events-value` is another name of `playback-events-value`.
"""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Request, Response
from fastapi.responses import JSONResponse

from pipeline.errors import ListeningError, UnavailableError
from pipeline.registry.compatibility import parse, why_not_next
from pipeline.registry.folder import FolderRegistry
from pipeline.registry.of_run import is_same_schema
from pipeline.registry.registry import Version
from pipeline.settings import Settings

Schema = Annotated[dict[str, Any], Body()]


class _Json(JSONResponse):
    media_type = "application/vnd.schemaregistry.v1+json"


class _RegistryError(Exception):
    """An error as the registry answers it: HTTP status, a code of its own, a sentence."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def serve_registry(app: FastAPI, settings: Settings) -> None:
    """Add the registry's routes, over the settings' folder. Every write is refused: `listening schemas add` writes."""
    app.include_router(_routes(_Folder(settings)))

    @app.exception_handler(_RegistryError)
    def answer(_request: Request, error: _RegistryError) -> Response:
        return _Json({"error_code": error.code, "message": str(error)}, status_code=error.status)


class _Folder:
    """The folder's registry with Confluent's errors."""

    def __init__(self, settings: Settings) -> None:
        self._prefix, self._registry = f"{settings.run}.", FolderRegistry(settings.schemas_dir)

    def subjects(self) -> list[str]:
        return list(self._asked(self._registry.subjects))

    def mode(self) -> str:
        return str(self._asked(lambda: self._registry.mode("")))

    def text(self, schema_id: int) -> str:
        text = self._asked(lambda: self._registry.text(schema_id))
        if text is None:
            raise _RegistryError(404, 40403, f"Schema {schema_id} not found")
        return str(text)

    def owner(self, schema_id: int) -> tuple[str, int]:
        self.text(schema_id)
        return self._registry.owner_of(schema_id) or ("", 0)

    def versions(self, subject: str) -> list[Version]:
        for name in (subject, subject.removeprefix(self._prefix)):
            found: list[Version] = self._asked(lambda name=name: self._registry.versions(name))
            if found:
                return found
        raise _RegistryError(404, 40401, f"Subject {subject!r} not found.")

    def version(self, subject: str, number: str) -> Version:
        known = self.versions(subject)
        if number in ("latest", "-1"):
            return known[-1]
        if not number.isdecimal():
            raise _RegistryError(422, 42202, f"The specified version {number!r} is not a valid version id.")
        for entry in known:
            if entry.version == int(number):
                return entry
        raise _RegistryError(404, 40402, f"Version {number} not found.")

    def _asked(self, question: Any) -> Any:
        try:
            return question()
        except UnavailableError as error:
            raise _RegistryError(500, 50001, str(error)) from error


def _routes(folder: _Folder) -> APIRouter:
    router = APIRouter(default_response_class=_Json, include_in_schema=False)

    @router.get("/schemas/types")
    def types() -> list[str]:
        return ["AVRO"]

    @router.get("/schemas/ids/{schema_id}")
    def by_id(schema_id: int) -> dict[str, str]:
        return {"schema": folder.text(schema_id)}

    @router.get("/schemas/ids/{schema_id}/schema")
    def schema_by_id(schema_id: int) -> Any:
        return json.loads(folder.text(schema_id))

    @router.get("/schemas/ids/{schema_id}/versions")
    def owners(schema_id: int) -> list[dict[str, Any]]:
        subject, version = folder.owner(schema_id)
        return [{"subject": subject, "version": version}]

    @router.get("/schemas/ids/{schema_id}/subjects")
    def subjects_of(schema_id: int) -> list[str]:
        return [folder.owner(schema_id)[0]]

    @router.get("/subjects")
    def subjects() -> list[str]:
        return folder.subjects()

    @router.get("/subjects/{subject}/versions")
    def numbers(subject: str) -> list[int]:
        return [entry.version for entry in folder.versions(subject)]

    @router.get("/subjects/{subject}/versions/{number}")
    def by_version(subject: str, number: str) -> dict[str, Any]:
        return _described(subject, folder.version(subject, number))

    @router.get("/subjects/{subject}/versions/{number}/schema")
    def schema_by_version(subject: str, number: str) -> Any:
        return json.loads(folder.version(subject, number).text)

    @router.post("/subjects/{subject}")
    def look_up(subject: str, schema: Schema) -> dict[str, Any]:
        """Which version this schema is: what a serializer asks that must not register."""
        wanted = _document(schema)
        for entry in folder.versions(subject):
            if is_same_schema(entry.text, wanted):
                return _described(subject, entry)
        raise _RegistryError(404, 40403, "Schema not found")

    @router.post("/compatibility/subjects/{subject}/versions/{number}")
    def check(subject: str, number: str, schema: Schema) -> dict[str, Any]:
        against = why_not_next(_document(schema), [folder.version(subject, number)], folder.mode())
        return {"is_compatible": not against, "messages": against}

    @router.post("/subjects/{subject}/versions")
    def register(subject: str) -> None:
        raise _RegistryError(422, 42205, f"Subject {subject} is read-only here: add versions by `listening schemas add`")

    @router.get("/config")
    @router.get("/config/{subject}")
    def mode(subject: str = "") -> dict[str, str]:  # noqa: ARG001
        return {"compatibilityLevel": folder.mode()}

    return router


def _described(subject: str, entry: Version) -> dict[str, Any]:
    return {"subject": subject, "version": entry.version, "id": entry.schema_id, "schema": entry.text}


def _document(body: dict[str, Any]) -> dict[str, Any]:
    try:
        return parse(str(body["schema"]), "the schema")
    except (KeyError, ListeningError) as error:
        raise _RegistryError(422, 42201, f"Invalid schema: {error}") from error
