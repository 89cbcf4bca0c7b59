"""The schemas folder as data: Avro schemas by subject and version, ids, plausibility limits, example events.

Source of the layout: Confluent's registry (subjects `<topic>-value`, numbered versions, one id for ever).
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
EVENTS_SUBJECT = "playback-events-value"
ARTISTS_SUBJECT = "artists-value"


@dataclass(frozen=True, slots=True)
class Range:
    """An inclusive range; of a string, of its length in UTF-8 bytes."""

    min: int
    max: int


@dataclass(frozen=True)
class Limits:
    """Plausibility limits of an event."""

    max_event_bytes: int
    integers: dict[str, Range]
    strings: dict[str, Range]
    fingerprint: str
    """Short hash of the limits' meaning (not of the file's comments or layout)."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A registry.yaml: schema id → (subject, version), and the mode in which a new version must fit the earlier ones."""

    ids: dict[int, tuple[str, int]]
    compatibility: str


def read_registry(folder: Path = FOLDER) -> Registered:
    """The registry.yaml of a folder like this one, as it is now. Raises OSError, yaml.YAMLError, KeyError, TypeError."""
    document = yaml.safe_load((folder / "registry.yaml").read_text())
    ids = {int(entry["id"]): (str(entry["subject"]), int(entry["version"])) for entry in document["schemas"]}
    return Registered(ids, str(document["compatibility"]))


@cache
def registry() -> dict[int, tuple[str, int]]:
    """Schema id → (subject, version), as of the first call."""
    return read_registry().ids


@cache
def schema_text(subject: str, version: int) -> str:
    """The .avsc text of one version. Raises FileNotFoundError where there is none."""
    return (FOLDER / subject / f"{version}.avsc").read_text()


def schema(subject: str, version: int) -> dict[str, Any]:
    """The parsed .avsc of one version, a fresh dictionary at each call."""
    document: dict[str, Any] = json.loads(schema_text(subject, version))
    return document


@cache
def schema_id(subject: str, version: int) -> int:
    """The id of a subject's version. Raises KeyError where there is none."""
    for number, entry in registry().items():
        if entry == (subject, version):
            return number
    raise KeyError(f"{subject} version {version} is not in schemas/registry.yaml")


@cache
def limits() -> Limits:
    """The plausibility limits of playback events."""
    document = yaml.safe_load((FOLDER / EVENTS_SUBJECT / "limits.yaml").read_text())
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return Limits(
        max_event_bytes=document["max_event_bytes"],
        integers={name: Range(**entry) for name, entry in document["integers"].items()},
        strings={name: Range(**entry) for name, entry in document["strings"].items()},
        fingerprint=hashlib.sha256(canonical.encode()).hexdigest()[:12],
    )
