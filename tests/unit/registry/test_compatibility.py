"""When a schema may follow others, by Confluent's modes."""

from typing import Any

import pytest

import schemas
from pipeline.errors import ListeningError
from pipeline.registry.compatibility import parse, why_not_next
from pipeline.registry.registry import Version


def record(*fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": list(fields)}


def field(name: str, default: bool = True, kind: Any = "int") -> dict[str, Any]:
    return {"name": name, "type": kind} | ({"default": 0} if default else {})


def versions(*documents: dict[str, Any]) -> list[Version]:
    import json

    return [Version("s", number, number, json.dumps(document)) for number, document in enumerate(documents, 1)]


A, B_REQUIRED, B_OPTIONAL = field("a"), field("b", default=False), field("b")
# What a mode allows, by its definition: BACKWARD: new fields need a default; FORWARD: fields that go must have had one.
CASES = [
    ("BACKWARD", [record(A)], record(A, B_OPTIONAL), True),
    ("BACKWARD", [record(A)], record(A, B_REQUIRED), False),
    ("BACKWARD", [record(A, B_REQUIRED)], record(A), True),
    ("FORWARD", [record(A)], record(A, B_REQUIRED), True),
    ("FORWARD", [record(A, B_REQUIRED)], record(A), False),
    ("FULL", [record(A)], record(A, B_OPTIONAL), True),
    ("FULL", [record(A, B_REQUIRED)], record(A), False),
    ("FULL", [record(A)], record(A, B_REQUIRED), False),
    # Two steps that are each allowed, and together are not.
    ("BACKWARD", [record(A), record(A, B_OPTIONAL)], record(A, B_REQUIRED), True),
    ("BACKWARD_TRANSITIVE", [record(A), record(A, B_OPTIONAL)], record(A, B_REQUIRED), False),
    ("FULL_TRANSITIVE", [record(A), record(A, B_OPTIONAL)], record(A, B_OPTIONAL, field("c")), True),
    ("NONE", [record(A)], record(field("a", kind="string")), True),
    ("FULL", [record(A)], record(field("a", kind="string")), False),
    ("FULL", [], record(A), True),
]


@pytest.mark.parametrize(("mode", "earlier", "new", "allowed"), CASES)
def test_a_mode_allows_what_its_definition_says(
    mode: str, earlier: list[dict[str, Any]], new: dict[str, Any], allowed: bool
) -> None:
    assert (why_not_next(new, versions(*earlier), mode) == []) is allowed


def test_a_refusal_names_the_version_and_the_field() -> None:
    (sentence,) = why_not_next(record(A, B_REQUIRED), versions(record(A)), "BACKWARD")
    assert "version 1" in sentence
    assert "b" in sentence
    assert "default" in sentence


@pytest.mark.parametrize(
    ("kind", "default", "fits"),
    [
        ("int", "x", False),
        ("int", 1, True),
        ("double", 1, True),
        ("bytes", "\u00ff", True),
        (["null", "string"], None, True),
        (["null", "string"], 3, False),
        (["string", "null"], "x", True),
        ({"type": "enum", "name": "Colour", "symbols": ["red"]}, "red", True),
        ({"type": "enum", "name": "Colour", "symbols": ["red"]}, "blue", False),
        ({"type": "fixed", "name": "Two", "size": 2}, "ab", True),
        ({"type": "fixed", "name": "Two", "size": 2}, "abc", False),
    ],
)
def test_a_default_must_be_a_value_of_its_type(kind: object, default: object, fits: bool) -> None:
    new = {"type": "record", "name": "R", "fields": [{"name": "a", "type": kind, "default": default}]}
    assert bool(why_not_next(new, [], "FULL")) is not fits


def test_a_mode_that_confluent_does_not_have_allows_nothing() -> None:
    assert "SIDEWAYS" in why_not_next(record(A), [], "SIDEWAYS")[0]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '"string"', '{"type": "record"}', '{"type": "record", "name": "R"}', "null", "3"]
)
def test_what_is_no_record_schema_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ListeningError, match=r"x\.avsc is no Avro"):
        parse(text, "x.avsc")


def test_all_schemas_of_the_folder_are_records_that_read_themselves() -> None:
    for subject, version in schemas.registry().values():
        document = parse(schemas.schema_text(subject, version), subject)
        assert why_not_next(document, versions(document), "FULL") == []
