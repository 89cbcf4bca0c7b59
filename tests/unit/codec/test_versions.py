"""Older and newer versions of the event's schema: both decode paths read them as Avro says, each under its own id."""

import io
import json
import struct
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas
from pipeline.codec.batches import walk
from pipeline.codec.decode import Decoded, decode
from pipeline.codec.event_columns import ENUMS
from pipeline.codec.known import Known, UndecidedSchemasError
from pipeline.codec.records import kafka_records
from pipeline.codec.writer import UnreadableSchemaError, writer_of
from pipeline.verify.decode import Decoder
from pipeline.verify.reader import reader_of
from pipeline.verify.walk import InvalidEventError
from tests.unit.batches import NOON, Item, batch_bytes, body_of, event, framed, record, resealed, tick

AHEAD = 600_000
V1 = schemas.schema(schemas.EVENTS_SUBJECT, 1)
DEFAULTED = ("platform", "reason_end")
OWN: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "string": ("string", st.text(max_size=5)),
    "bytes": ("bytes", st.binary(max_size=5)),
    "int": ("int", st.integers(-(2**31), 2**31 - 1)),
    "long": ("long", st.integers(-(2**63), 2**63 - 1)),
    "float": ("float", st.sampled_from([0.0, -1.5])),
    "double": ("double", st.floats(allow_nan=False)),
    "boolean": ("boolean", st.booleans()),
    "fixed": ({"type": "fixed", "name": "Token", "size": 3}, st.binary(min_size=3, max_size=3)),
    "enum": ({"type": "enum", "name": "Mood", "symbols": ["glad", "sad"]}, st.sampled_from(["glad", "sad"])),
    "instant": ({"type": "long", "logicalType": "timestamp-millis"}, st.integers(0, 2**41)),
}


@st.composite
def versions(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A version that can be resolved to ours, and values of its own fields."""
    document = schemas.schema(schemas.EVENTS_SUBJECT, 1)
    fields = [entry for entry in document["fields"] if entry["name"] not in draw(st.sets(st.sampled_from(DEFAULTED)))]
    own = {}
    for kind in draw(st.lists(st.sampled_from(sorted(OWN)), max_size=4, unique=True)):
        # Names that also stand around an event in the container.
        name = draw(st.sampled_from(["mine", "length", "key", "headers", "id_head"])) + "_" * len(own)
        avro_type, values = OWN[kind]
        nullable = draw(st.sampled_from(["", "null first", "null last"]))
        if nullable:
            avro_type = ["null", avro_type] if nullable == "null first" else [avro_type, "null"]
            values = st.none() | values
        own[name] = draw(values)
        fields.insert(draw(st.integers(0, len(fields))), {"name": name, "type": avro_type})
    if draw(st.booleans()):
        fields = draw(st.permutations(fields))
    for entry in fields:
        if entry["name"] == "platform" and draw(st.booleans()):
            entry["type"] = entry["type"] | {"symbols": draw(st.permutations([*ENUMS["platform"], "watch"]))}
    return {**document, "fields": list(fields)}, own


def written(document: dict[str, Any], fields: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(document), fields, strict=False)
    return stream.getvalue()


def resolved(document: dict[str, Any], body: bytes) -> dict[str, Any]:
    """What Avro itself makes of it under our schema: fastavro, with nothing of ours between."""
    row: Any = fastavro.schemaless_reader(io.BytesIO(body), fastavro.parse_schema(document), fastavro.parse_schema(V1))
    return dict(row)


def knowing(**texts: str) -> Known:
    known = Known()
    known.learn(1, schemas.schema_text(schemas.EVENTS_SUBJECT, 1))
    for number, text in texts.items():
        known.learn(int(number.removeprefix("v")), text)
    return known


def both(raw: bytes, known: Known) -> list[Decoded]:
    return [decode(walk(raw), 0, 0, 1, AHEAD, fast=fast, known=known) for fast in (True, False)]


def refused_by_verify(raw: bytes, texts: dict[int, str]) -> list[int]:
    """Offsets of what the independent decoder takes for no event, or whose key is not its user."""
    decoder, found = Decoder(texts.get), []
    for batch in walk(raw):
        for item in kafka_records(batch):
            if item.value is None:
                continue
            try:
                if item.key == struct.pack(">q", decoder.decode(item.value)["user_id"]):
                    continue
            except InvalidEventError:
                pass
            found.append(item.offset)
    return found


@settings(max_examples=200, deadline=None)
@given(versions(), st.sampled_from([0, 3]), st.sampled_from([*ENUMS["platform"], "watch"]))
def test_a_version_is_read_as_avro_resolves_it_and_its_neighbours_as_ever(
    version: tuple[dict[str, Any], dict[str, Any]], codec: int, platform: str
) -> None:
    document, own = version
    symbols = next((entry["type"]["symbols"] for entry in document["fields"] if entry["name"] == "platform"), [])
    fields = event(2, platform=platform if platform in symbols else "web", reason_end="error") | own
    body = written(document, fields)
    key = struct.pack(">q", 2)
    raw = batch_bytes([record(event(1)), record(event(3))], 0, codec)
    raw += batch_bytes([(key, framed(body, schema_id=9), [])] * 2, 2, codec)
    raw += batch_bytes([tick(NOON)], 4) + batch_bytes([record(event(4))], 5, codec)
    expected = resolved(document, body)
    decoded = both(raw, knowing(v9=json.dumps(document)))
    assert decoded[0].columnar == 5
    texts = {1: json.dumps(V1), 9: json.dumps(document)}
    assert refused_by_verify(raw, texts) == []
    assert {name: Decoder(texts.get).decode(framed(body, schema_id=9))[name] for name in ENUMS} == {
        name: expected[name] for name in ENUMS
    }
    for one in decoded:
        assert one.refused == []
        assert one.events["user_id"].to_list() == [1, 3, 2, 2, 4]
        for row in one.events.filter(one.events["user_id"] == 2).iter_rows(named=True):
            for name in ("artist_id", "ms_played", "service", "country", "offline", "album_id"):
                assert row[name] == expected[name]
            for name in ENUMS:
                assert ENUMS[name][row[name]] == expected[name]
    assert decoded[0].events.equals(decoded[1].events)


NEWER = {
    **V1,
    "fields": [
        *V1["fields"],
        {"name": "mood", "type": ["null", OWN["enum"][0]]},
        {"name": "loud", "type": "boolean"},
        {"name": "volume", "type": "int"},
        {"name": "note", "type": "string"},
    ],
}


def newer(**own: Any) -> Item:
    fields = event(2) | {"mood": "sad", "loud": True, "volume": 7, "note": "né"} | own
    return struct.pack(">q", 2), framed(written(NEWER, fields), schema_id=9), []


def test_no_changed_byte_of_a_newer_event_makes_the_paths_disagree_or_touches_a_neighbour() -> None:
    known = knowing(v9=json.dumps(NEWER))
    small = batch_bytes([newer(), newer(note=""), newer(mood=None)])
    refused = 0
    for at in range(61, len(small)):
        for attack in (*(small[:at] + bytes([small[at] ^ change]) + small[at + 1 :] for change in (1, 0x80, 0xFF)),
                       small[:at] + small[at + 1 :], small[:at] + b"\x80" + small[at:]):  # fmt: skip
            try:
                slow = decode(walk(resealed(attack)), 0, 0, 1, AHEAD, fast=False, known=known)
            except (UndecidedSchemasError, Exception) as error:  # damaged, or another id: the fast path must say the same
                slow = type(error)
            try:
                fast = decode(walk(resealed(attack)), 0, 0, 1, AHEAD, fast=True, known=known)
            except (UndecidedSchemasError, Exception) as error:
                fast = type(error)
            if isinstance(slow, type) or isinstance(fast, type):
                assert slow == fast
                continue
            assert slow.events.equals(fast.events)
            assert [(e.offset, e.reason) for e in slow.refused] == [(e.offset, e.reason) for e in fast.refused]
            assert refused_by_verify(resealed(attack), {1: json.dumps(V1), 9: json.dumps(NEWER)}) == [
                entry.offset for entry in slow.refused if entry.reason != "ahead"
            ]
            refused += len(slow.refused)
    assert refused > 100, "the attack must reach values that are refused"


@pytest.mark.parametrize(
    ("tail", "why"),
    [
        (b"\x04\x02\x01\x0e\x00", "branch"),
        (b"\x03\x02\x01\x0e\x00", "branch"),
        (b"\x02\x04\x01\x0e\x00", "an enum's third symbol of two"),
        (b"\x00\x02\x0e\x00", "a boolean of 2"),
        (b"\x00\x01\x80\x80\x80\x80\x20\x00", "an int of 2^32"),
        (b"\x00\x01\x0e\x05", "a length of -3"),
    ],
)
def test_what_is_no_value_of_a_version_s_own_field_is_undecodable(tail: bytes, why: str) -> None:
    item = (struct.pack(">q", 2), framed(body_of(event(2)) + tail, schema_id=9), [])
    good = (struct.pack(">q", 2), framed(body_of(event(2)) + b"\x00\x01\x0e\x00", schema_id=9), [])
    for decoded in both(batch_bytes([good, item, good]), knowing(v9=json.dumps(NEWER))):
        assert [(entry.offset, entry.reason) for entry in decoded.refused] == [(1, "undecodable")], why
        assert decoded.events["offset"].to_list() == [0, 2]
    assert refused_by_verify(batch_bytes([good, item, good]), {9: json.dumps(NEWER)}) == [1]


@pytest.mark.parametrize("last", [3, 0x7F])
def test_a_number_of_more_than_64_bits_is_undecodable_even_where_its_lowest_64_are_plausible(last: int) -> None:
    whole, ours, own = b"\x80" * 9 + b"\x01", body_of(event(2, session_id=2**62)), b"\x00\x01\x0e\x00"
    big = framed(body_of(event(2)) + b"\x02" + whole, schema_id=9)
    assert (ours.count(whole), big.count(whole)) == (1, 1)
    documents = {8: {**V1, "fields": [*V1["fields"], {"name": "x", "type": ["null", "long"]}]}, 9: NEWER}
    texts = {1: json.dumps(V1)} | {number: json.dumps(document) for number, document in documents.items()}
    known, key = knowing(v8=texts[8], v9=texts[9]), struct.pack(">q", 2)
    for number, body in {1: ours, 9: ours + own, 8: big[5:]}.items():
        good = (key, framed(body, schema_id=number), [])
        wide = (key, framed(body.replace(whole, whole[:9] + bytes([last])), schema_id=number), [])
        raw = batch_bytes([good, wide, good])
        for decoded in both(raw, known):
            assert [(entry.offset, entry.reason) for entry in decoded.refused] == [(1, "undecodable")]
        assert refused_by_verify(raw, texts) == [1]
        assert both(batch_bytes([good, good]), known)[0].columnar == 2


def test_an_int_where_ours_is_a_long_must_be_an_int() -> None:
    text = json.dumps({**V1, "fields": retyped("session_id", "int")})
    known, key = knowing(v9=text), struct.pack(">q", 2)
    good, wide = ((key, framed(body_of(event(2, session_id=at)), schema_id=9), []) for at in (2**31 - 1, 2**31))
    raw = batch_bytes([good, wide, good])
    for decoded in both(raw, known):
        assert [(entry.offset, entry.reason) for entry in decoded.refused] == [(1, "undecodable")]
    assert refused_by_verify(raw, {9: text}) == [1]
    assert both(batch_bytes([good, good]), known)[0].columnar == 2


def test_an_id_that_was_not_asked_of_the_registry_decides_nothing_and_all_such_ids_are_named() -> None:
    raw = batch_bytes([record(event(1)), newer(), (None, framed(b"", schema_id=12), [])])
    for fast in (True, False):
        with pytest.raises(UndecidedSchemasError) as raised:
            decode(walk(raw), 0, 0, 1, AHEAD, fast=fast, known=knowing())
        # A record without a good key is invalid whatever its schema.
        assert raised.value.ids == (9,)


def test_a_definite_no_is_invalid_until_refusals_are_forgotten() -> None:
    known, raw = knowing(), batch_bytes([record(event(1)), newer()])
    known.learn(9, None)
    for decoded in both(raw, known):
        assert [(entry.offset, entry.reason) for entry in decoded.refused] == [(1, "unknown_schema")]
    known.forget_refusals()
    with pytest.raises(UndecidedSchemasError):
        both(raw, known)
    known.learn(9, json.dumps(NEWER))
    for decoded in both(raw, known):
        assert decoded.refused == []


def without(name: str) -> list[Any]:
    return [entry for entry in V1["fields"] if entry["name"] != name]


def retyped(name: str, avro_type: Any) -> list[Any]:
    return [entry | {"type": avro_type} if entry["name"] == name else entry for entry in V1["fields"]]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({**V1, "name": "Artist"}, "it is a record Artist"),
        ({**V1, "fields": without("country")}, "lacks country"),
        ({**V1, "fields": retyped("user_id", "string")}, "its user_id is string"),
        ({**V1, "fields": retyped("user_id", ["null", "long"])}, "its user_id is"),
        ({**V1, "fields": retyped("event_id", {"type": "fixed", "name": "EventId", "size": 8})}, "its event_id is"),
        ({**V1, "fields": [*V1["fields"], {"name": "tags", "type": {"type": "array", "items": "string"}}]}, "its tags is"),
        ({**V1, "fields": [*V1["fields"], {"name": "x", "type": ["null", "int", "string"]}]}, "its x is"),
        ("string", "no Avro record"),
        ({"type": "record"}, "no Avro record"),
    ],
)
def test_a_schema_that_can_t_be_read_as_ours_is_refused_and_says_why(document: Any, why: str) -> None:
    with pytest.raises(UnreadableSchemaError, match=why):
        writer_of(9, json.dumps(document))
    assert reader_of(json.dumps(document)) is None


def with_own(name: Any, avro_type: Any) -> str:
    return json.dumps({**V1, "fields": [*V1["fields"], {"name": name, "type": avro_type}]})


@pytest.mark.parametrize(
    "text",
    [
        'syntax = "proto3"; message PlaybackEvent {}',
        "",
        "[" * 100_000,
        '{"name": "PlaybackEvent"}',
        '{"name": "PlaybackEvent", "fields": ["user_id"]}',
        with_own(["x"], "int"),
        with_own("x", ["int"]),
        with_own("user_id", "long"),
        with_own("x", {"type": "fixed", "name": "X"}),
        with_own("x", {"type": "fixed", "name": "X", "size": "3"}),
        with_own("x", {"type": "fixed", "name": "X", "size": -1}),
        with_own("x", {"type": "fixed", "name": 5, "size": 3}),
        with_own("x", {"type": "enum", "name": "X", "symbols": 5}),
        json.dumps({**V1, "fields": retyped("platform", {"type": "enum", "name": "Platform", "symbols": [["x"], "ios"]})}),
        with_own("x", {"type": "enum", "name": "X", "symbols": [5]}),
    ],
)
def test_what_a_registry_has_of_another_kind_under_an_id_makes_its_events_invalid_to_all(text: str) -> None:
    known = knowing(v9=text)
    item = (struct.pack(">q", 2), framed(body_of(event(2)), schema_id=9), [])
    raw = batch_bytes([record(event(1)), item])
    for decoded in both(raw, known):
        assert [(entry.offset, entry.reason) for entry in decoded.refused] == [(1, "unknown_schema")]
    assert refused_by_verify(raw, {1: json.dumps(V1), 9: text}) == [1]


@pytest.mark.parametrize("wrapped", [{"type": {"type": "int"}}, ["null", {"type": {"type": "int"}}]])
def test_a_type_within_a_type_is_that_type(wrapped: Any) -> None:
    item = (struct.pack(">q", 2), framed(body_of(event(2)) + b"\2" * (1 + isinstance(wrapped, list)), schema_id=9), [])
    for decoded in both(batch_bytes([item]), knowing(v9=with_own("x", wrapped))):
        assert decoded.events["artist_id"].to_list() == [7]
    assert refused_by_verify(batch_bytes([item]), {9: with_own("x", wrapped)}) == []


def test_a_field_may_name_the_type_of_an_earlier_one() -> None:
    document = {**V1, "fields": [*V1["fields"], {"name": "parent_id", "type": ["null", "EventId"]}]}
    body = written(document, event(2) | {"parent_id": b"p" * 16})
    raw = batch_bytes([(struct.pack(">q", 2), framed(body, schema_id=9), [])])
    for decoded in both(raw, knowing(v9=json.dumps(document))):
        assert decoded.events["artist_id"].to_list() == [7]
