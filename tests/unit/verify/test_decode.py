import random

import pytest

from pipeline.verify.decode import Decoder
from pipeline.verify.walk import InvalidEventError
from tests.unit.verify.logs import FRAME, body, fields

DECODER = Decoder()


def zigzag(number: int) -> bytes:
    raw, out = (number << 1) ^ (number >> 63), bytearray()
    while raw > 0x7F:
        out.append(raw & 0x7F | 0x80)
        raw >>= 7
    return bytes([*out, raw])


def parts() -> list[bytes]:
    """The body of one event, field by field, as the Avro specification encodes it."""
    event = fields("a", 0)
    longs = [event[name] for name in ("user_id", "artist_id", "track_id", "album_id", "played_at")]
    ints = [event[name] for name in ("ms_played", "track_ms", "session_id", "sequence")]
    text = [zigzag(len(event[name])) + event[name].encode() for name in ("service", "country")]
    return [
        event["event_id"],
        *map(zigzag, longs),
        *map(zigzag, ints),
        zigzag(1),
        *text,
        b"\0",
        zigzag(0),
        zigzag(event["sent_at"]),
    ]


USER, MS_PLAYED, PLATFORM, SERVICE, COUNTRY, OFFLINE, REASON = 1, 6, 10, 11, 12, 13, 14


def with_part(place: int, raw: bytes) -> bytes:
    pieces = parts()
    pieces[place] = raw
    return FRAME + b"".join(pieces)


def refused(value: bytes) -> str:
    with pytest.raises(InvalidEventError) as caught:
        DECODER.decode(value)
    return str(caught.value)


def test_an_event_comes_back_as_it_was_written() -> None:
    assert FRAME + b"".join(parts()) == FRAME + body(fields("a", 0))
    decoded = DECODER.decode(FRAME + body(fields("a", 0)))
    assert decoded == fields("a", 0) | {"offline": b"\0", "reason_end": "finished"}


def test_every_shorter_body_and_every_longer_one_is_invalid() -> None:
    whole = FRAME + body(fields("a", 0))
    for length in range(len(whole)):
        refused(whole[:length])
    assert "bytes after the event" in refused(whole + b"\0")


def test_frames_of_others_are_invalid() -> None:
    event = body(fields("a", 0))
    assert "frame" in refused(b"\1" + FRAME[1:] + event)
    assert "schema id 99" in refused(b"\0\0\0\0\x63" + event)
    assert "schema id 2 " in refused(b"\0\0\0\0\2" + event)  # the id of another subject
    assert "frame" in refused(b"")


@pytest.mark.parametrize("index", [8, -1, -8, 1 << 31])
def test_an_enum_index_without_a_symbol_is_invalid_also_a_negative_one(index: int) -> None:
    refused(with_part(PLATFORM, zigzag(index)))


@pytest.mark.parametrize("number", [1 << 31, 1 << 32, -(1 << 31) - 1])
def test_an_int_beyond_32_bits_is_invalid(number: int) -> None:
    assert "32-bit" in refused(with_part(MS_PLAYED, zigzag(number)))


def test_a_padded_varint_is_the_number_it_says() -> None:
    padded = bytes([zigzag(7)[0] | 0x80]) + b"\x80" * 8 + b"\0"
    assert DECODER.decode(with_part(USER, padded))["user_id"] == 7


@pytest.mark.parametrize("raw", [b"\x8e" + b"\x80" * 9 + b"\0", b"\x8e" + b"\x80" * 8 + b"\2", b"\xff" * 9 + b"\x7f"])
def test_a_varint_of_more_than_64_bits_is_invalid(raw: bytes) -> None:
    assert "64 bits" in refused(with_part(USER, raw))


def test_ten_bytes_with_their_high_bit_set_in_an_id_are_no_varint() -> None:
    pieces = parts()
    pieces[0] = b"\xff" * 16
    assert DECODER.decode(FRAME + b"".join(pieces))["event_id"] == b"\xff" * 16


@pytest.mark.parametrize("raw", [b"\x04\xff\xfe", b"\x06\xed\xa0\x80"])
def test_text_that_is_no_utf8_is_invalid(raw: bytes) -> None:
    refused(with_part(SERVICE, raw))


def test_lengths_of_text_are_bytes_of_utf8() -> None:
    assert DECODER.decode(FRAME + body(fields("a", 0, country="é")))["country"] == "é"
    for changes in ({"country": "éé"}, {"country": "d"}, {"service": ""}, {"service": "é" * 33}):
        refused(FRAME + body(fields("a", 0, **changes)))


def test_a_negative_length_is_invalid() -> None:
    refused(with_part(COUNTRY, zigzag(-1)))


def test_a_boolean_is_nought_or_one() -> None:
    assert "boolean" in refused(with_part(OFFLINE, b"\2"))


@pytest.mark.parametrize(
    "changes",
    [
        {"user_id": 0},
        {"artist_id": -1},
        {"album_id": -1},
        {"played_at": 946_684_799_999},
        {"played_at": 4_102_444_800_001},
        {"ms_played": 86_400_001},
        {"ms_played": -1},
        {"track_ms": 0},
        {"sequence": -1},
        {"sent_at": 0},
    ],
)
def test_what_is_past_a_limit_is_invalid(changes: dict[str, int]) -> None:
    refused(FRAME + body(fields("a", 0, **changes)))


def test_limits_themselves_are_valid() -> None:
    DECODER.decode(FRAME + body(fields("a", 0, played_at=946_684_800_000, ms_played=86_400_000, album_id=0, track_ms=1)))
    DECODER.decode(FRAME + body(fields("a", 0, played_at=4_102_444_800_000, user_id=2**63 - 1, sequence=2**31 - 1)))


def test_no_bytes_do_more_than_be_invalid() -> None:
    chance = random.Random(5)
    whole = bytearray(FRAME + body(fields("a", 0)))
    for _ in range(5_000):
        broken = whole.copy()
        for _ in range(chance.randint(1, 4)):
            broken[chance.randrange(5, len(broken))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        try:
            DECODER.decode(bytes(broken))
        except InvalidEventError:
            continue
