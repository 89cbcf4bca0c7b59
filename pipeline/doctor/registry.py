"""The schema registry: the folder or the URL answers, and holds the schema that our producers write."""

from dataclasses import dataclass

import schemas
from pipeline.codec.writer import UnreadableSchemaError, writer_of
from pipeline.doctor.findings import Finding
from pipeline.errors import ListeningError
from pipeline.registry.of_run import is_same_schema, open_registry, subject_of
from pipeline.registry.registry import Registry, Version
from pipeline.settings import Settings

SUBJECT = "schemas"
MODE = "FULL_TRANSITIVE"


@dataclass(frozen=True, slots=True)
class RegistryFacts:
    """`versions`: of the event's subject; `trouble`: why the registry can't be used, empty where it can."""

    where: str
    subject: str
    by_url: bool
    versions: tuple[Version, ...] = ()
    mode: str = ""
    trouble: str = ""


def gather(settings: Settings) -> RegistryFacts:
    """Asks for the versions of the event's subject; whatever the registry says, it answers."""
    subject, by_url = subject_of(settings, schemas.EVENTS_SUBJECT), settings.schema_registry_url is not None
    try:
        registry: Registry = open_registry(settings)
        return RegistryFacts(registry.where, subject, by_url, tuple(registry.versions(subject)), registry.mode(subject))
    except ListeningError as error:
        where = settings.schema_registry_url or str(settings.schemas_dir)
        return RegistryFacts(where, subject, by_url, trouble=str(error))


def judge(facts: RegistryFacts) -> list[Finding]:
    """Findings of the registry."""
    if facts.trouble:
        remedy = "see that it is up, or check LISTENING_SCHEMA_REGISTRY_URL" if facts.by_url else "restore the folder"
        found = f"{facts.trouble}; events of unknown schema ids wait until it answers"
        return [Finding("problem", SUBJECT, found, remedy)]
    ours = schemas.schema(schemas.EVENTS_SUBJECT, 1)
    if not any(is_same_schema(version.text, ours) for version in facts.versions):
        file = schemas.FOLDER / schemas.EVENTS_SUBJECT / "1.avsc"
        found = f"{facts.where} does not have the schema that `listening produce` writes as a version of {facts.subject}"
        return [Finding("problem", SUBJECT, found, f"`listening schemas add {file}`")]
    findings = []
    for version in facts.versions:
        try:
            writer_of(version.schema_id, version.text)
        except UnreadableSchemaError as error:
            found = f"events of {facts.subject} version {version.version} (id {version.schema_id}) are refused: {error}"
            findings.append(Finding("warning", SUBJECT, found, "add a version that fits, and let producers use that"))
    if facts.mode != MODE:
        found = f"compatibility is {facts.mode}: a version may be added that can't be read beside all others"
        findings.append(Finding("note", SUBJECT, found, f"set {facts.subject} to {MODE}"))
    named = ", ".join(f"{version.version} (id {version.schema_id})" for version in facts.versions)
    return [*findings, Finding("ok", SUBJECT, f"{facts.where} has {facts.subject} version {named}")]
