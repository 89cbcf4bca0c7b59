"""Which schema ids are known: what the registry was asked, and what it said.

Nothing here asks: decoding says which ids it needs (`UndecidedSchemasError`), a worker asks and comes back.
"""

from collections.abc import Iterable
from functools import cache

import schemas
from pipeline.codec.writer import UnreadableSchemaError, Writer, writer_of


class UnknownSchemaError(ValueError):
    """A definite no: events of this id are invalid; the text says why."""


class UndecidedSchemasError(LookupError):
    """The registry wasn't asked of these ids yet: what becomes of their events is not known."""

    def __init__(self, ids: Iterable[int]) -> None:
        self.ids = tuple(sorted(set(ids)))
        super().__init__(f"schema ids {', '.join(map(str, self.ids))} were not asked of the registry")


class Known:
    """Schema ids with their writers, and those that were refused. `complete`: all others are refused, too."""

    def __init__(self, *, complete: bool = False) -> None:
        self._complete = complete
        self._writers: dict[int, Writer] = {}
        self._refused: dict[int, str] = {}

    def learn(self, schema_id: int, text: str | None) -> None:
        """Take in the registry's answer: the schema's text, or None where it has none of this id."""
        if text is None:
            self._refused[schema_id] = f"the registry has no schema of id {schema_id}"
            return
        try:
            self._writers[schema_id] = writer_of(schema_id, text)
        except UnreadableSchemaError as error:
            self._refused[schema_id] = f"schema id {schema_id} is no version of {schemas.EVENTS_SUBJECT}: {error}"

    def forget_refusals(self) -> None:
        """A no may be a yes by now: an id names one schema for ever, but it may be given later."""
        self._refused.clear()

    def get(self, schema_id: int) -> Writer | None:
        """The writer of an id, None where it is refused or undecided."""
        return self._writers.get(schema_id)

    def writer(self, schema_id: int) -> Writer:
        """The writer of an id. Raises UnknownSchemaError, UndecidedSchemasError."""
        found = self._writers.get(schema_id)
        if found is not None:
            return found
        if schema_id in self._refused:
            raise UnknownSchemaError(self._refused[schema_id])
        if self._complete:
            raise UnknownSchemaError(f"schema id {schema_id} is no version of {schemas.EVENTS_SUBJECT}")
        raise UndecidedSchemasError([schema_id])


@cache
def embedded() -> Known:
    """The versions in schemas/ of this checkout, and nothing else."""
    known = Known(complete=True)
    for schema_id, (subject, version) in schemas.registry().items():
        if subject == schemas.EVENTS_SUBJECT:
            known.learn(schema_id, schemas.schema_text(subject, version))
    return known
