"""A Confluent-compatible registry by URL, through confluent-kafka's client."""

import re
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
_LARGEST_ID = (1 << 31) - 1
"""Ids are Java's ints. Of a larger one a registry says 404 as of any path that it doesn't have, which is no answer."""


def without_secrets(text: str) -> str:
    """The text without the user and password that a URL in it may hold."""
    return re.sub(r"//[^/,\s]*@", "//", text)


class ConfluentRegistry:
    """What it answers is kept by its client: an id names one schema for ever."""

    def __init__(self, url: str) -> None:
        """Raises ListeningError where this is no URL."""
        self.where = without_secrets(url)
        try:
            self._client: Any = SchemaRegistryClient({"url": url, "timeout": ANSWER_SECONDS, "max.retries": 0})
        except ValueError as error:
            # Without its cause, whose text holds the URL as it is.
            why = without_secrets(str(error))
            raise ListeningError(f"LISTENING_SCHEMA_REGISTRY_URL={self.where!r} is no registry's URL: {why}") from None

    def text(self, schema_id: int) -> str | None:
        if schema_id > _LARGEST_ID:
            return None
        found: Any = self._asked(lambda: self._client.get_schema(schema_id))
        if found is not None and not isinstance(found.schema_str, str):
            raise self._odd("an answer without a schema")
        return None if found is None else found.schema_str

    def versions(self, subject: str) -> list[Version]:
        numbers = self._asked(lambda: self._client.get_versions(subject)) or []
        found: list[Any] = [self._asked(partial(self._client.get_version, subject, number)) for number in numbers]
        return [Version(subject, entry.version, entry.schema_id, entry.schema.schema_str) for entry in found if entry]

    def mode(self, subject: str) -> str:
        own: Any = self._asked(lambda: self._client.get_compatibility(subject))
        return str(own or self._asked(self._client.get_compatibility) or "NONE")

    def add(self, subject: str, text: str) -> Version:
        try:
            schema_id: Any = self._asked(lambda: self._client.register_schema(subject, Schema(text, "AVRO")))
        except UnavailableError as error:
            refusal = error.__cause__
            if isinstance(refusal, SchemaRegistryError) and refusal.http_status_code in (409, 422):
                raise ListeningError(f"the schema registry at {self.where} refuses: {refusal.error_message}") from error
            raise
        number = next((entry.version for entry in self.versions(subject) if entry.schema_id == schema_id), 0)
        return Version(subject, number, schema_id, text)

    def _asked(self, question: Callable[[], T]) -> T | None:
        """The answer, or None for a definite no. Raises UnavailableError for everything else."""
        try:
            return question()
        except SchemaRegistryError as error:
            if error.error_code in _NO:
                return None
            raise UnavailableError(f"the schema registry at {self.where} answers {error}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._odd(f"{type(error).__name__} {error}") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise UnavailableError(
                f"the schema registry at {self.where} does not answer ({type(error).__name__} {error}): "
                "see that it is up, or check LISTENING_SCHEMA_REGISTRY_URL"
            ) from error

    def _odd(self, what: str) -> UnavailableError:
        """The client doesn't look at what it is told: a proxy's page must not pass for a no."""
        return UnavailableError(
            f"what answers at {self.where} is no schema registry ({what}): check LISTENING_SCHEMA_REGISTRY_URL"
        )
