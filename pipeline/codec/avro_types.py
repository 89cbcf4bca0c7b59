"""Avro types of a flat record, as fastavro and the columns need them."""

from collections.abc import Mapping
from typing import Any


def base_of(avro_type: Any) -> str:
    """The name of the type, without what stands around it (logical types, sizes, symbols)."""
    return str(avro_type["type"]) if isinstance(avro_type, dict) else str(avro_type)


def inlined(types: Mapping[str, Any]) -> dict[str, Any]:
    """The types with wrappers taken off and references to a named type of an earlier field replaced by it."""
    named: dict[str, Any] = {}

    def inline(kind: Any) -> Any:
        while isinstance(kind, dict) and isinstance(kind["type"], dict):
            kind = kind["type"]
        if isinstance(kind, list):
            return [inline(branch) for branch in kind]
        if isinstance(kind, dict) and "name" in kind:
            named[kind["name"].rpartition(".")[2]] = kind
        return named.get(kind.rpartition(".")[2], kind) if isinstance(kind, str) else kind

    return {name: inline(kind) for name, kind in types.items()}


def widened(field: str, avro_type: Any) -> Any:
    """The type with ints, enums and instants as a plain long: the same bytes."""
    if isinstance(avro_type, list):
        return [widened(field, kind) for kind in avro_type]
    base = base_of(avro_type)
    if base in ("int", "long", "enum"):
        return "long"
    # Named by the field: no name twice, and the same on both sides.
    return {"type": "fixed", "name": f"fixed_{field}", "size": avro_type["size"]} if base == "fixed" else base
