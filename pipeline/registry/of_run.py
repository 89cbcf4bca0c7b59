"""Which registry a run has, and the names and ids that its events have there."""

import json
from typing import Any

import schemas
from pipeline.errors import ListeningError
from pipeline.registry.folder import FolderRegistry
from pipeline.registry.registry import Registry
from pipeline.settings import Settings


def open_registry(settings: Settings) -> Registry:
    """The registry that the settings name; nothing is asked of it yet."""
    if settings.schema_registry_url:
        from pipeline.registry.confluent import ConfluentRegistry  # slow to import, and rarely needed

        return ConfluentRegistry(settings.schema_registry_url)
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
        if is_same_schema(version.text, ours):
            return version.schema_id
    file = schemas.FOLDER / schemas.EVENTS_SUBJECT / "1.avsc"
    raise ListeningError(
        f"the schema registry at {registry.where} does not have {file} as a version of {subject}: "
        f"add it with `listening schemas add {file}`"
    )


def is_same_schema(text: str, schema: dict[str, Any]) -> bool:
    """Whether the text is this schema; a registry may hold texts of other kinds, which are none."""
    try:
        return bool(json.loads(text) == schema)
    except (ValueError, RecursionError):
        return False
