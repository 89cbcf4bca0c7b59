"""Every example event is a test: valid ones travel, invalid ones are refused for the reason that they name."""

import io
import json
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import fastavro
import pytest
from pydantic import ValidationError

import schemas
from pipeline.codec.events import NotAnEventError, decode, encode, key_of
from schemas.model import Platform, PlaybackEvent, ReasonEnd

EXAMPLES = schemas.FOLDER / schemas.EVENTS_SUBJECT / "examples"
VALID = sorted(EXAMPLES.glob("valid-*.json"))
INVALID = sorted(EXAMPLES.glob("invalid-*.json"))


def _name(path: Path) -> str:
    return path.stem


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_every_example_is_named_valid_or_invalid() -> None:
    assert VALID
    assert INVALID
    assert len(list(EXAMPLES.iterdir())) == len(VALID) + len(INVALID)


@pytest.mark.parametrize("path", VALID, ids=_name)
def test_a_valid_example_passes_the_model_and_returns_from_the_wire_unchanged(path: Path) -> None:
    event = PlaybackEvent.model_validate_json(json.dumps(_read(path)["event"]))
    assert json.loads(event.model_dump_json()) == _read(path)["event"]
    assert decode(encode(event)) == event


@pytest.mark.parametrize("path", VALID, ids=_name)
def test_a_valid_example_is_read_by_plain_fastavro_under_the_schema_as_it_stands(path: Path) -> None:
    event = _read(path)["event"]
    value = encode(PlaybackEvent.model_validate_json(json.dumps(event)))
    assert value[:5] == b"\0\0\0\0\1"
    row: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), schemas.schema(schemas.EVENTS_SUBJECT, 1), None)
    assert UUID(bytes=row.pop("event_id")) == UUID(event.pop("event_id"))
    for field in ("played_at", "sent_at"):
        assert round(row.pop(field).timestamp() * 1000) == event.pop(field)
    assert row == event


@pytest.mark.parametrize("path", INVALID, ids=_name)
def test_an_invalid_example_is_refused_for_its_field_and_reason_alone(path: Path) -> None:
    example = _read(path)
    with pytest.raises(ValidationError) as refused:
        PlaybackEvent.model_validate_json(json.dumps(example["event"]))
    [error] = refused.value.errors()
    assert error["loc"] == (example["field"],)
    assert example["reason"] in error["msg"] + error["type"]


def test_the_model_mirrors_the_schema_field_by_field() -> None:
    fields = schemas.schema(schemas.EVENTS_SUBJECT, 1)["fields"]
    assert list(PlaybackEvent.model_fields) == [field["name"] for field in fields]
    symbols = {field["name"]: field["type"]["symbols"] for field in fields if "symbols" in field["type"]}
    assert symbols == {"platform": list(get_args(Platform)), "reason_end": list(get_args(ReasonEnd))}


def test_every_limit_belongs_to_a_field_of_the_schema() -> None:
    limits = schemas.limits()
    assert set(limits.integers) | set(limits.strings) <= set(PlaybackEvent.model_fields)


def test_bytes_left_over_a_cut_body_another_schema_or_a_bare_body_are_no_event() -> None:
    value = encode(PlaybackEvent.model_validate_json(json.dumps(_read(VALID[0])["event"])))
    for wrong in (value + b"\0", value[:-1], b"\0\0\0\0\2" + value[5:], b"\1" + value[1:], value[5:], b"\0\0", b""):
        with pytest.raises(NotAnEventError):
            decode(wrong)


def test_a_key_is_the_user_id_in_eight_bytes_big_endian() -> None:
    assert key_of(258) == bytes([0, 0, 0, 0, 0, 0, 1, 2])
