"""What is asked of a schema registry."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a subject: its number (from 1), the id that stands before every record written under it, its text."""

    subject: str
    version: int
    schema_id: int
    text: str


class Registry(Protocol):
    """Schemas by id and by subject. Every method raises UnavailableError where there is no answer: ask again later."""

    where: str
    """For sentences: the folder or the URL."""

    def text(self, schema_id: int) -> str | None:
        """The Avro schema of this id, as JSON, or None: a definite no, there is none."""
        ...

    def versions(self, subject: str) -> list[Version]:
        """All versions, oldest first; empty for an unknown subject."""
        ...

    def mode(self, subject: str) -> str:
        """The compatibility mode, as Confluent names it."""
        ...

    def add(self, subject: str, text: str) -> Version:
        """Make it the subject's next version. Check it first (`pipeline.registry.compatibility`)."""
        ...
