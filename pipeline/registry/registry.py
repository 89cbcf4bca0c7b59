"""What is asked of a schema registry, and which one a run has."""

import json
from dataclasses import dataclass
from typing import Protocol

import schemas
from pipeline.errors import ListeningError
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


def id_of_version_1(registry: Registry, subject: str) -> int:
    """The id under which our own producers write: of version 1 in schemas/, wherever the registry has it.

    Raises ListeningError where it doesn't, naming the command that adds it.
    """
    ours = schemas.schema(schemas.EVENTS_SUBJECT, 1)
    for version in registry.versions(subject):
        if json.loads(version.text) == ours:
            return version.schema_id
    file = schemas.FOLDER / schemas.EVENTS_SUBJECT / "1.avsc"
    raise ListeningError(
        f"the schema registry at {registry.where} does not have {file} as a version of {subject}: "
        f"add it with `listening schemas add {file}`"
    )
