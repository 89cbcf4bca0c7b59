"""Entries of the dead-letter queue."""

from pipeline.codec.records import Refused
from pipeline.log.dead_letters import LEFT_OUT, dead_letter_headers, fitting
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


def test_a_value_too_large_for_any_record_leaves_its_size_behind() -> None:
    headers: list[tuple[str, bytes]] = []
    assert fitting(b"x" * MAX_MESSAGE_BYTES, headers) is None
    assert headers == [(LEFT_OUT, str(MAX_MESSAGE_BYTES).encode())]


def test_any_other_value_is_kept_as_it_is() -> None:
    headers: list[tuple[str, bytes]] = []
    assert fitting(b"poison", headers) == b"poison"
    assert fitting(None, headers) is None
    assert headers == []
