"""Whether one version of a schema can follow others, in the registry's mode. By Apache Avro's own checker.

Modes as Confluent defines them: BACKWARD: the new one reads what the last one wrote; FORWARD: the other way round; FULL:
both; …_TRANSITIVE: with every earlier version; NONE: anything.
"""

import json
import warnings
from collections.abc import Sequence
from typing import Any

import avro.errors
import avro.schema
import fastavro
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

from pipeline.errors import ListeningError
from pipeline.registry.registry import Version

MODES = ("NONE", *(mode + suffix for mode in ("BACKWARD", "FORWARD", "FULL") for suffix in ("", "_TRANSITIVE")))


def parse(text: str, where: str) -> dict[str, Any]:
    """The schema as a dictionary. Raises ListeningError naming `where` for what is no Avro record schema."""
    try:
        document = json.loads(text)
        _parsed(document)
    except (ValueError, avro.errors.AvroException, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ListeningError(f"{where} is no Avro schema: {error}") from error
    if not isinstance(document, dict) or document.get("type") != "record":
        raise ListeningError(f"{where} is no Avro record")
    return document


def problems(reader: dict[str, Any], writer: dict[str, Any]) -> list[str]:
    """Why data written under `writer` can't be read under `reader`; empty where it can."""
    checker: Any = ReaderWriterCompatibilityChecker
    found = checker().get_compatibility(_parsed(reader), _parsed(writer))
    if found.compatibility is SchemaCompatibilityType.compatible:
        return []
    kinds = ", ".join(sorted({kind.value.replace("_", " ") for kind in found.incompatibilities}))
    places = ", ".join(sorted(place for place in found.locations if place != "/"))
    return [f"{kinds} ({'; '.join(sorted(found.messages))}){' at ' + places if places else ''}"]


def why_not_next(new: dict[str, Any], earlier: Sequence[Version], mode: str) -> list[str]:
    """Sentences against making `new` the version after `earlier` (oldest first); empty where it may be."""
    if mode not in MODES:
        return [f"the registry's compatibility mode {mode} is none of {', '.join(MODES)}"]
    against = earlier if mode.endswith("_TRANSITIVE") else earlier[-1:]
    sentences = [] if mode == "NONE" else _wrong_defaults(new)
    for version in against:
        old = json.loads(version.text)
        if mode.startswith(("BACKWARD", "FULL")):
            sentences += [f"it can't read events of version {version.version}: {why}" for why in problems(new, old)]
        if mode.startswith(("FORWARD", "FULL")):
            sentences += [f"version {version.version} can't read its events: {why}" for why in problems(old, new)]
    return sentences


def _wrong_defaults(new: dict[str, Any]) -> list[str]:
    """Avro's checker takes any default; it must be a value of the type, or of one of a union's."""
    return [
        f"the default of {field['name']}, {json.dumps(field['default'])}, is not of its type"
        for field in new["fields"]
        if "default" in field
        and not any(
            _may_be(field["default"], kind)
            for kind in (field["type"] if isinstance(field["type"], list) else [field["type"]])
        )
    ]


def _may_be(default: Any, kind: Any) -> bool:
    if isinstance(default, str) and (kind["type"] if isinstance(kind, dict) else kind) in ("bytes", "fixed"):
        default = default.encode("latin-1", "replace")
    try:
        return bool(fastavro.validate(default, kind, raise_errors=False))
    except (fastavro.schema.UnknownType, KeyError):  # the name of a type that is written out elsewhere
        return True


def _parsed(document: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", avro.errors.IgnoredLogicalType)  # an unknown logical type changes no bytes
        return avro.schema.make_avsc_object(document)
