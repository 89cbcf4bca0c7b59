"""A Confluent-compatible registry by URL, through confluent-kafka's client."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import httpx

from pipeline.errors import ListeningError, UnavailableError
from pipeline.registry.registry import Version

with warnings.catch_warnings(record=True):  # authlib turns filters off, so it is caught and not filtered
    # Its client for OAuth, which isn't used here, tells users of this program what its authors should do.
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError

T = TypeVar("T")
ANSWER_SECONDS = 10
_NO = frozenset({40401, 40402, 40403})
"""Error codes of a definite no: no such subject, version, schema."""


class ConfluentRegistry:
    """What it answers is kept by its client: an id names one schema for ever."""

    def __init__(self, url: str) -> None:
        """Raises ListeningError where this is no URL."""
        self.where = url
        try:
            self._client: Any = SchemaRegistryClient({"url": url, "timeout": ANSWER_SECONDS, "max.retries": 0})
        except ValueError as error:
            raise ListeningError(f"LISTENING_SCHEMA_REGISTRY_URL={url!r} is no registry's URL: {error}") from error

    def text(self, schema_id: int) -> str | None:
        found: Any = self._asked(lambda: self._client.get_schema(schema_id))
        return None if found is None else str(found.schema_str)

    def versions(self, subject: str) -> list[Version]:
        numbers = self._asked(lambda: self._client.get_versions(subject)) or []
        found: list[Any] = [self._asked(partial(self._client.get_version, subject, number)) for number in numbers]
        return [Version(subject, entry.version, entry.schema_id, entry.schema.schema_str) for entry in found if entry]

    def mode(self, subject: str) -> str:
        own: Any = self._asked(lambda: self._client.get_compatibility(subject))
        return str(own or self._asked(self._client.get_compatibility) or "NONE")

    def add(self, subject: str, text: str) -> Version:
        schema_id: Any = self._asked(lambda: self._client.register_schema(subject, Schema(text, "AVRO")))
        number = next((entry.version for entry in self.versions(subject) if entry.schema_id == schema_id), 0)
        return Version(subject, number, schema_id, text)

    def _asked(self, question: Callable[[], T]) -> T | None:
        """The answer, or None for a definite no. Raises ListeningError where it refuses, UnavailableError otherwise."""
        try:
            return question()
        except SchemaRegistryError as error:
            if error.error_code in _NO:
                return None
            if error.http_status_code in (409, 422):
                raise ListeningError(f"the schema registry at {self.where} refuses: {error.error_message}") from error
            raise UnavailableError(f"the schema registry at {self.where} answers {error}") from error
        except (httpx.HTTPError, OSError) as error:
            raise UnavailableError(
                f"the schema registry at {self.where} does not answer ({type(error).__name__} {error}): "
                "see that it is up, or check LISTENING_SCHEMA_REGISTRY_URL"
            ) from error
