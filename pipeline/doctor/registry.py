"""The schema registry: the schemas folder can be read and holds the events' schema.

PLACE FOR MORE: who extends the registry (a Confluent one by URL, compatibility, ids in use) adds facts and findings here.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import yaml

import schemas
from pipeline.doctor.findings import Finding

SUBJECT = "schemas"
VERSION = 1


@dataclass(frozen=True, slots=True)
class RegistryFacts:
    """`schemas`: how many are registered; `trouble`: why the folder can't be used, empty where it can."""

    folder: Path
    schemas: int
    trouble: str


def gather(folder: Path = schemas.FOLDER) -> RegistryFacts:
    """Reads registry.yaml and the events' schema; whatever is in the folder, it answers."""
    wanted = {"subject": schemas.EVENTS_SUBJECT, "version": VERSION}
    count = 0
    try:
        entries = yaml.safe_load((folder / "registry.yaml").read_text())["schemas"]
        count = len(entries)
        if not any(wanted.items() <= entry.items() for entry in entries):
            return RegistryFacts(folder, count, f"registry.yaml has no {schemas.EVENTS_SUBJECT} version {VERSION}")
        json.loads((folder / schemas.EVENTS_SUBJECT / f"{VERSION}.avsc").read_text())
    except OSError as error:
        return RegistryFacts(folder, count, f"{error.filename}: {error.strerror}")
    except (ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        return RegistryFacts(folder, count, f"it holds something else than schemas: {' '.join(str(error).split())[:200]}")
    return RegistryFacts(folder, count, "")


def judge(facts: RegistryFacts) -> list[Finding]:
    """Findings of the schemas."""
    if facts.trouble:
        found = f"{facts.folder} can't be used: {facts.trouble}"
        return [
            Finding("problem", SUBJECT, found, "restore the folder from the project: no event can be decoded without it")
        ]
    return [Finding("ok", SUBJECT, f"{facts.schemas} schemas, {schemas.EVENTS_SUBJECT} version {VERSION} among them")]
