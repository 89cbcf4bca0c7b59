"""Entries of the dead-letter queue."""

import pytest
from confluent_kafka import Producer

from pipeline.codec.records import Refused
from pipeline.dlq.letters import letter_of
from pipeline.log.dead_letters import (
    APPENDED_AT,
    HEADERS_LEFT_OUT,
    KEY_LEFT_OUT,
    LEFT_OUT,
    PREFIX,
    dead_letter_headers,
    fitting,
)
from pipeline.log.read import Record
from pipeline.topics import MAX_MESSAGE_BYTES


def test_an_entry_keeps_the_original_headers_and_says_where_it_came_from_and_why() -> None:
    headers = dead_letter_headers(
        [("mine", b"kept")], "live.playback-events", 3, Refused(7, 1, "wrong_key", "the key is wrong")
    )
    assert headers[0] == ("mine", b"kept")
    found = dict(headers)
    assert found["__connect.errors.topic"] == b"live.playback-events"
    assert (found["__connect.errors.partition"], found["__connect.errors.offset"]) == (b"3", b"7")
    assert found["__connect.errors.exception.class.name"] == b"wrong_key"
    assert found["__connect.errors.exception.message"] == b"the key is wrong"


@pytest.mark.parametrize("large", ["key", "value", "header", "headers", "all"])
def test_whatever_is_too_large_for_any_record_leaves_its_size_behind_and_the_rest_is_taken(large: str) -> None:
    zeros = b"\0" * (MAX_MESSAGE_BYTES + 1)
    key, value = zeros if large in ("key", "all") else b"k", zeros if large in ("value", "all") else b"v"
    headers = (
        [("h", zeros)] if large in ("header", "all") else [("h", b"")] * 1_000_000 if large == "headers" else [("h", b"x")]
    )
    key_kept, value_kept, kept = fitting(key, value, headers)
    kept = dead_letter_headers(kept, "live.playback-events", 3, Refused(7, 1, "too_large", "too large"))
    assert key_kept == (None if large in ("key", "all") else b"k")
    assert value_kept == (None if large in ("value", "all") else b"v")
    assert (("h", b"x") in kept) == (large in ("key", "value"))
    sizes = {name for name, _ in kept if name in (KEY_LEFT_OUT, LEFT_OUT, HEADERS_LEFT_OUT)}
    named = {"key": {KEY_LEFT_OUT}, "value": {LEFT_OUT}, "header": {HEADERS_LEFT_OUT}, "headers": {HEADERS_LEFT_OUT}}
    assert sizes == named.get(large, {KEY_LEFT_OUT, LEFT_OUT, HEADERS_LEFT_OUT})
    producer = Producer({"bootstrap.servers": "127.0.0.1:1", "message.max.bytes": MAX_MESSAGE_BYTES, "log_level": 0})
    producer.produce("dlq", value_kept, key_kept, partition=0, headers=kept)  # raises where it is too large
    producer.purge()
    producer.flush(10)


def test_any_other_record_is_kept_as_it_is() -> None:
    assert fitting(b"k", b"poison", [("h", b"x")]) == (b"k", b"poison", [("h", b"x")])
    assert fitting(None, None, []) == (None, None, [])


@pytest.mark.parametrize("forged", [b"much", b"", b"7" * 5000, b"12"])
def test_no_header_of_the_record_itself_hides_its_entry(forged: bytes) -> None:
    original = [(name, forged) for name in (LEFT_OUT, APPENDED_AT, PREFIX + "offset", PREFIX + "topic")]
    _, value, headers = fitting(b"k", b"poison", original)
    marked = dead_letter_headers(headers, "live.playback-events", 3, Refused(7, 1, "wrong_key", "the key is wrong"))
    letter = letter_of(Record(0, 0, marked, value or b"", b"k"), "live.playback-events")
    assert letter is not None
    assert (letter.partition, letter.offset, letter.appended_at, letter.left_out) == (3, 7, 1, 0)
