"""What is asked of a schema registry, and which one a run has."""

from dataclasses import dataclass
from typing import Protocol

from pipeline.settings import Settings


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


def open_registry(settings: Settings) -> Registry:
    """The registry that the settings name; nothing is asked of it yet."""
    if settings.schema_registry_url:
        from pipeline.registry.confluent import ConfluentRegistry

        return ConfluentRegistry(settings.schema_registry_url)
    from pipeline.registry.folder import FolderRegistry

    return FolderRegistry(settings.schemas_dir)


def subject_of(settings: Settings, subject: str) -> str:
    """The name of an embedded subject in the run's registry: a Confluent one has it by the topic, which the run prefixes."""
    return f"{settings.run}.{subject}" if settings.schema_registry_url else subject
