"""Strict JSON: what two readers may understand differently is refused, and nothing crashes the reader."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.gateway.body import BodyError, _object, items_in, shown

WRONG = {
    "nothing": b"",
    "blank": b"  \n",
    "no JSON": b"event_id=1",
    "cut off": b'{"user_id": 1',
    "two documents": b"{} {}",
    "comment": b"{} // yes",
    "trailing comma": b'{"user_id": 1,}',
    "single quotes": b"{'user_id': 1}",
    "NaN": b'{"user_id": NaN}',
    "Infinity": b"[Infinity]",
    "minus Infinity": b"[-Infinity]",
    "not UTF-8": b'{"service": "\xff"}',
    "surrogate in UTF-8": b'{"service": "\xed\xa0\x80"}',
    "overlong": b'{"service": "\xc0\xaf"}',
    "UTF-16": '{"user_id": 1}'.encode("utf-16"),
    "BOM": b"\xef\xbb\xbf{}",
    "control character": b'{"service": "a\nb"}',
    "name twice": b'{"user_id": 1, "user_id": 2}',
    "name twice, escaped": b'{"user_id": 1, "user\\u005fid": 2}',
    "name twice, deep": b'[{"a": {"b": 1, "b": 2}}]',
    "deep arrays": b"[" * 200_000,
    "deep objects": b'{"a":' * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "thousands of digits": b"[" + b"9" * 5_000 + b"]",
    "number": b"1",
    "string": b'"event"',
    "null": b"null",
    "no events": b"[]",
    "no events in it": b'{"events": []}',
    "events are one": b'{"events": {"user_id": 1}}',
    "events and more": b'{"events": [{}], "run": "x"}',
    "leading zero": b"[01]",
    "hexadecimal": b"[0x1]",
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
def test_what_is_no_call_is_refused_in_a_sentence(body: bytes) -> None:
    with pytest.raises(BodyError) as refused:
        items_in(body)
    assert 0 < len(str(refused.value)) < 200
    str(refused.value).encode()


class Counted(str):
    """A name that counts how often it is held against another one."""

    comparisons = 0

    def __eq__(self, other: object) -> bool:
        Counted.comparisons += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_a_name_that_stands_twice_among_many_is_found_without_holding_each_against_each() -> None:
    names = [Counted(number) for number in range(300)]
    with pytest.raises(BodyError, match="'299' stands twice"):
        _object([(name, 1) for name in [*names, Counted(299)]])
    assert Counted.comparisons < 2 * len(names)


def test_one_event_an_array_and_an_object_with_events_are_calls() -> None:
    assert items_in(b'{"user_id": 1}').items == [{"user_id": 1}]
    assert items_in(b'[{"user_id": 1}, 2]').items == [{"user_id": 1}, 2]
    assert items_in(b' {"events": [{"events": 1}]} ').items == [{"events": 1}]


def test_only_objects_can_lack_an_id() -> None:
    assert items_in(b'[{"event_id": null}, 3]').all_named
    assert not items_in(b'[{"event_id": 1}, {}]').all_named


def test_a_lone_surrogate_is_said_back_as_its_escape() -> None:
    assert shown("\ud800") == "\\ud800"
    assert len(shown("x" * 10_000)) < 100


@settings(max_examples=50)
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        found = items_in(body)
    except BodyError:
        return
    assert found.items


values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=50)
@given(st.lists(values, min_size=1, max_size=5))
def test_what_json_writes_is_read_as_it_was(items: list[Any]) -> None:
    assert items_in(json.dumps(items, ensure_ascii=False).encode()).items == items
