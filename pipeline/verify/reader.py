"""How the bodies of one schema id are read: the schema made plain for fastavro, and what is left to judge."""

import json
from dataclasses import dataclass
from typing import Any

from fastavro import parse_schema

import schemas
from pipeline.verify.walk import Place

_SIZES = {"float": 4, "double": 8, "boolean": 1}
_SHAPES = {
    **dict.fromkeys(("int", "long", "enum"), "varint"),
    **dict.fromkeys(("string", "bytes"), "bytes"),
    **dict.fromkeys(("float", "double", "boolean", "fixed"), "fixed"),
}


@dataclass(frozen=True, slots=True)
class Reader:
    """`places`: what a walk over the raw bytes needs; `is_walked`: every body must be walked (it has unions, which fastavro
    reads too kindly). Then, by type, the names to judge after fastavro; `missing`: defaults of ours that it lacks."""

    schema: Any
    places: tuple[Place, ...]
    is_walked: bool
    ints: tuple[str, ...]
    booleans: tuple[str, ...]
    texts: tuple[str, ...]
    enums: tuple[tuple[str, tuple[str, ...]], ...]
    missing: dict[str, Any]


def reader_of(text: str) -> Reader | None:
    """None where events under this schema can't be ours: another record, a field of ours missing or of another type, or a
    field that isn't flat; also where it is no Avro schema at all, as an id may well name one of another kind."""
    try:
        return _reader_of(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _reader_of(schema: Any) -> Reader | None:
    if not isinstance(schema, dict) or str(schema.get("name")).rpartition(".")[2] != "PlaybackEvent":
        return None
    named: dict[str, Any] = {}
    places: dict[str, Place] = {}
    symbols: dict[str, tuple[str, ...]] = {}
    plain = []
    for field in schema["fields"]:
        name, union = field["name"], _unwrapped(field["type"])
        branches = [_unwrapped(branch) for branch in union] if isinstance(union, list) else [union]
        types = [_definition(branch, named) for branch in branches if branch != "null"]
        if len(types) != 1 or len(branches) != (2 if isinstance(union, list) else 1) or name in places:
            return None
        kind = types[0]
        if "name" in kind:
            named[kind["name"].rpartition(".")[2]] = kind
        base = kind["type"]
        if not isinstance(base, str) or base not in _SHAPES:
            return None
        size = kind["size"] if base == "fixed" else _SIZES.get(base, 0)
        if type(size) is not int or size < 0:
            return None
        symbols[name] = tuple(kind["symbols"]) if base == "enum" else ()
        if not all(isinstance(symbol, str) for symbol in symbols[name]):
            return None
        null_branch = branches.index("null") if len(branches) == 2 else None
        places[name] = Place(_SHAPES[base], size, base, len(symbols[name]), null_branch)
        as_read = _as_read(name, places[name])
        either = ["null" if branch == "null" else as_read for branch in branches]
        plain.append({"name": name, "type": as_read if null_branch is None else either})
    missing = _missing(places)
    if missing is None:
        return None
    judged = {name: place.base for name, place in places.items() if place.null_branch is None}
    return Reader(
        parse_schema({"type": "record", "name": "AsRead", "fields": plain}),
        tuple(places.values()),
        len(judged) < len(places),
        ints=tuple(name for name, base in judged.items() if base == "int"),
        booleans=tuple(name for name, base in judged.items() if base == "boolean"),
        texts=tuple(name for name, base in judged.items() if base == "string"),
        enums=tuple((name, symbols[name]) for name, base in judged.items() if base == "enum"),
        missing=missing,
    )


def symbols_of_ours() -> dict[str, tuple[tuple[str, ...], str]]:
    """Our enums: their symbols, and which one stands for all that are not among them."""
    kinds = {field["name"]: field["type"] for field in schemas.schema(schemas.EVENTS_SUBJECT, 1)["fields"]}
    enums = {name: kind for name, kind in kinds.items() if isinstance(kind, dict) and kind["type"] == "enum"}
    return {name: (tuple(kind["symbols"]), kind["default"]) for name, kind in enums.items()}


def _unwrapped(kind: Any) -> Any:
    """The type within a type, as in {"type": {"type": "int"}}."""
    while isinstance(kind, dict) and isinstance(kind["type"], dict):
        kind = kind["type"]
    return kind


def _definition(kind: Any, named: dict[str, Any]) -> dict[str, Any]:
    """The type as a dictionary; a name stands for the type of that name that an earlier field defined."""
    if isinstance(kind, dict):
        return kind
    found: dict[str, Any] = named.get(str(kind).rpartition(".")[2], {"type": kind})
    return found


def _as_read(name: str, place: Place) -> Any:
    """Enums as integers, booleans and floats as bytes, strings as bytes: judged here, not by fastavro."""
    match place.shape:
        case "fixed":
            return {"type": "fixed", "name": f"bytes_{name}", "size": place.size}
        case "bytes":
            return "bytes"
    return "int" if place.base == "enum" else place.base


def _missing(places: dict[str, Place]) -> dict[str, Any] | None:
    """Defaults of our fields that aren't there; None where one has none, or where a field isn't of our type."""
    missing = {}
    for field in schemas.schema(schemas.EVENTS_SUBJECT, 1)["fields"]:
        name, kind = field["name"], field["type"] if isinstance(field["type"], dict) else {"type": field["type"]}
        if name not in places:
            if "default" not in field:
                return None
            missing[name] = field["default"]
            continue
        place = places[name]
        fits = place.base == kind["type"] or (place.base, kind["type"]) == ("int", "long")
        if not fits or place.null_branch is not None or place.size != kind.get("size", place.size):
            return None
    return missing
