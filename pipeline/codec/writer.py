"""A version of the event's schema as it is read here: what its bytes look like, and how its fields become ours.

Version 1 in schemas/ is the reader's schema. Any version that Avro can resolve to it is read, older or newer, under its own
id: our fields by name, a field that it lacks by its default, enum symbols by name (an unknown one is the enum's default),
fields of its own passed over. Events are flat: such a field has a primitive type, an enum or a fixed, or that or null.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import fastavro
import numpy as np
import numpy.typing as npt

import schemas
from pipeline.codec.avro_types import base_of, inlined, widened
from pipeline.codec.event_columns import ENUMS, EVENT_FIELDS, Kind

INT_MIN, INT_MAX = -(1 << 31), (1 << 31) - 1
_KINDS = {
    **dict.fromkeys(("int", "long", "enum"), Kind.NUMBER),
    "boolean": Kind.BOOLEAN,
    "string": Kind.STRING,
    "bytes": Kind.BYTES,
    "fixed": Kind.FIXED,
    "float": Kind.FIXED,
    "double": Kind.FIXED,
}
_SIZES = {"float": 4, "double": 8}
_NAME = "PlaybackEvent"


class UnreadableSchemaError(ValueError):
    """Events written under this schema can't be read as ours; the text says why."""


@dataclass(frozen=True, slots=True)
class WrittenField:
    """A field as it lies in the bytes. `null_branch`: which of the union's two branches is null, None for no union. `size`:
    bytes of a FIXED (float and double are such). `is_narrower`: an int where ours is a long. Numbers of an int or enum lie
    in [least, below)."""

    name: str
    kind: Kind
    is_ours: bool
    null_branch: int | None = None
    size: int = 0
    is_narrower: bool = False
    least: int = -(1 << 63)
    below: int = 1 << 63

    @property
    def nullable(self) -> bool:
        return self.null_branch is not None

    @property
    def is_bounded(self) -> bool:
        """Whether to look for numbers outside of [least, below): for others of ours the limits do it (plausible.py)."""
        return not self.is_ours or self.is_narrower


@dataclass(frozen=True)
class Writer:
    """How the events of one schema id are read. `fields`: all of them, in their order. `defaults`: our fields that it lacks.
    `symbols`: enum → by the index written, ours; only where they differ."""

    schema_id: int
    fields: tuple[WrittenField, ...]
    defaults: Mapping[str, Any]
    symbols: Mapping[str, npt.NDArray[np.int64]]
    types: Mapping[str, Any]
    """Field → Avro type, named types written out."""

    @property
    def frame(self) -> bytes:
        """The five bytes before each event: magic 0 and the id."""
        return b"\0" + self.schema_id.to_bytes(4, "big")

    @cached_property
    def parsed(self) -> Any:
        """For fastavro: every int, enum and instant a plain long, the same bytes; ranges are checked by others."""
        fields = [{"name": name, "type": widened(name, kind)} for name, kind in self.types.items()]
        return fastavro.parse_schema({"type": "record", "name": _NAME, "fields": fields})

    def ours(self, name: str, written: int) -> int:
        """Our index of an enum's symbol, -1 for none that the schema has."""
        translation = self.symbols.get(name)
        if translation is None:
            return written
        return int(translation[written]) if 0 <= written < len(translation) else -1


def writer_of(schema_id: int, text: str) -> Writer:
    """How events under this schema (Avro JSON) are read. Raises UnreadableSchemaError."""
    try:
        document = json.loads(text)
        fields = inlined({entry["name"]: entry["type"] for entry in document["fields"]})
        name = str(document["name"]).rpartition(".")[2]
        written = tuple(_field(field, kind) for field, kind in fields.items())
        symbols = {
            ours: _translation(ours, fields[ours])
            for ours in ENUMS
            if ours in fields and base_of(fields[ours]) == "enum" and tuple(fields[ours]["symbols"]) != ENUMS[ours]
        }
        if len(fields) < len(document["fields"]):
            raise UnreadableSchemaError("it has two fields of one name")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, UnreadableSchemaError):
            raise
        raise UnreadableSchemaError(f"it is no Avro record of flat fields ({type(error).__name__} {error})") from error
    reader = _reader_document()
    if name != _NAME:
        raise UnreadableSchemaError(f"it is a record {name}, not a {_NAME}")
    defaults = {}
    for entry in reader["fields"]:
        if entry["name"] not in fields:
            if "default" not in entry:
                raise UnreadableSchemaError(f"it lacks {entry['name']}, which has no default")
            defaults[entry["name"]] = _default(entry)
        elif not _resolves(entry["type"], fields[entry["name"]]):
            raise UnreadableSchemaError(
                f"its {entry['name']} is {fields[entry['name']]}, which can't be read as {entry['type']}"
            )
    return Writer(schema_id, written, defaults, symbols, fields)


@cache
def reader_schema() -> Any:
    """Ours, widened as the writers' are, for fastavro."""
    fields = []
    for entry in _reader_document()["fields"]:
        default = {"default": _default(entry)} if "default" in entry else {}
        fields.append({"name": entry["name"], "type": widened(entry["name"], entry["type"]), **default})
    return fastavro.parse_schema({"type": "record", "name": _NAME, "fields": fields})


@cache
def _reader_document() -> dict[str, Any]:
    return schemas.schema(schemas.EVENTS_SUBJECT, 1)


@cache
def _longs() -> frozenset[str]:
    return frozenset(entry["name"] for entry in _reader_document()["fields"] if base_of(entry["type"]) == "long")


def _field(name: str, avro_type: Any) -> WrittenField:
    ours, null_branch = name == "event_id" or name in EVENT_FIELDS, None
    if isinstance(avro_type, list):
        rest = [kind for kind in avro_type if kind != "null"]
        if len(avro_type) != 2 or len(rest) != 1:
            raise UnreadableSchemaError(f"its {name} is {avro_type}: events are flat, a union is of null and one other type")
        null_branch, avro_type = avro_type.index("null"), rest[0]
    base = base_of(avro_type)
    if base not in _KINDS:
        raise UnreadableSchemaError(
            f"its {name} is {avro_type}: events are flat, a field has a primitive type, enum or fixed"
        )
    size = avro_type["size"] if base == "fixed" else _SIZES.get(base, 0)
    if type(size) is not int or size < 0:
        raise UnreadableSchemaError(f"its {name} is {avro_type}, and that is no size")
    least, below = {"int": (INT_MIN, INT_MAX + 1), "enum": (0, 0)}.get(base, (-(1 << 63), 1 << 63))
    if base == "enum":
        below = len(avro_type["symbols"])
        if not all(isinstance(symbol, str) for symbol in avro_type["symbols"]):
            raise UnreadableSchemaError(f"its {name} is {avro_type}, and those are no symbols")
    narrower = base == "int" and name in _longs()
    return WrittenField(name, _KINDS[base], ours, null_branch, size, narrower, least, below)


def _resolves(reader: Any, writer: Any) -> bool:
    """Whether a field's type is ours: the same, or an int where ours is a long. What is out of range is found by event."""
    if isinstance(writer, list):
        return False
    ours, theirs = base_of(reader), base_of(writer)
    if ours == "fixed":
        return theirs == ours and bool(writer["size"] == reader["size"])
    return theirs == ours or (ours, theirs) == ("long", "int")


def _default(entry: Mapping[str, Any]) -> Any:
    if entry["name"] in ENUMS:
        return ENUMS[entry["name"]].index(entry["default"])
    return entry["default"]


def _translation(name: str, written: Mapping[str, Any]) -> npt.NDArray[np.int64]:
    """By the index written, ours; a symbol that ours lacks is the default that ours names."""
    (kind,) = [entry["type"] for entry in _reader_document()["fields"] if entry["name"] == name]
    default = ENUMS[name].index(kind["default"])
    known = {symbol: index for index, symbol in enumerate(ENUMS[name])}
    return np.array([known.get(symbol, default) for symbol in written["symbols"]], np.int64)
