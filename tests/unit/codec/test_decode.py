"""Both decode paths agree on every record, and neither lets one record change another's outcome."""

import struct
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas
from pipeline.codec.alignment import varint_width
from pipeline.codec.batches import walk
from pipeline.codec.columns import NotColumnarError, decode_columns
from pipeline.codec.decode import Decoded, decode
from pipeline.codec.ids import join_ids
from pipeline.codec.known import embedded
from pipeline.codec.records import kafka_records, tolerant_records
from pipeline.errors import RefusedError
from tests.unit.batches import NOON, Item, batch_bytes, body_of, event, framed, record, resealed, tick

AHEAD = 600_000
longs = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-70, 70), st.sampled_from([2**k for k in range(63)]))
texts = st.one_of(st.text(max_size=4), st.sampled_from(["listening", "SE", "x" * 64, "y" * 65, "é" * 40]))


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """Mostly plausible events, now and then a field that is anything its type can hold."""
    fields = event(draw(st.integers(1, 2**40)), played_at=NOON + draw(st.integers(-(10**7), AHEAD + 2000)))
    for name in draw(st.lists(st.sampled_from(sorted(fields.keys() - {"event_id", "user_id"})), max_size=2)):
        fields[name] = draw(
            {
                "platform": st.sampled_from(["android", "other"]),
                "reason_end": st.sampled_from(["finished", "other"]),
                "offline": st.booleans(),
                "service": texts,
                "country": texts,
                "ms_played": st.integers(-(2**31), 2**31 - 1),
                "track_ms": st.integers(-(2**31), 2**31 - 1),
                "sequence": st.integers(-(2**31), 2**31 - 1),
            }.get(name, longs)
        )
    return fields


def both(raw: bytes, wanted: int = 0) -> tuple[Decoded, Decoded]:
    batches = walk(raw)
    fast, slow = (decode(batches, wanted, 0, 1, AHEAD, fast=choice) for choice in (True, False))
    return fast, slow


def same(one: Decoded, other: Decoded) -> bool:
    rows = [entry.events.rows() for entry in (one, other)]
    parts = [
        (entry.first, entry.last, entry.ticks, [(r.offset, r.reason) for r in entry.refused], entry.absent)
        for entry in (one, other)
    ]
    return rows[0] == rows[1] and parts[0] == parts[1]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.one_of(events(), st.just("tick")), min_size=1, max_size=6), min_size=1, max_size=4),
    st.sampled_from([0, 1, 2, 3, 4]),
    st.integers(0, 8),
)
def test_both_paths_give_the_same_rows_ticks_and_refusals(
    groups: list[list[dict[str, Any] | str]], codec: int, wanted: int
) -> None:
    raw, base = b"", 0
    for group in groups:
        items = [tick(NOON) if isinstance(entry, str) else record(entry) for entry in group]
        raw += batch_bytes(items, base, codec)
        base += len(group)
    fast, slow = both(raw, min(wanted, base - 1))
    assert same(fast, slow)
    assert fast.events.height + len(fast.ticks) + len(fast.refused) == base - min(wanted, base - 1)


def test_decoded_columns_are_the_fields_that_were_written() -> None:
    written = [event(n, artist_id=n * 3, played_at=NOON + n, service=f"s{n}") for n in range(1, 60)]
    fast, _slow = both(batch_bytes([record(fields) for fields in written], base=100), wanted=100)
    assert fast.columnar == 59
    assert fast.events["offset"].to_list() == list(range(100, 159))
    assert join_ids(fast.events["id_head"].to_numpy(), fast.events["id_tail"].to_numpy()).to_list() == [
        fields["event_id"] for fields in written
    ]
    for name in ("user_id", "artist_id", "played_at", "ms_played", "service", "country", "sent_at"):
        assert fast.events[name].to_list() == [fields[name] for fields in written]
    assert fast.events["platform"].to_list() == [1] * 59  # the second symbol


def test_the_broker_s_time_stands_for_every_record_of_a_batch_it_dated() -> None:
    raw = batch_bytes([record(event(1)), record(event(2))], append_time=NOON + 77)
    for decoded in both(raw):
        assert decoded.events["appended_at"].to_list() == [NOON + 77, NOON + 77]


def test_each_record_keeps_its_own_time_in_a_batch_dated_by_its_producer() -> None:
    raw = batch_bytes([record(event(1)), record(event(2))], timestamps=[NOON + 5, NOON + 3])
    for decoded in both(raw):
        assert decoded.events["appended_at"].to_list() == [NOON + 5, NOON + 3]


SMALL = batch_bytes([record(event(n)) for n in (1, 2, 3)])
BODY_FROM = 61


def columns_of(raw: bytes) -> pl.DataFrame:
    batches = walk(raw)
    try:
        bodies = [batch.body() for batch in batches]
    except ValueError as error:
        raise NotColumnarError(str(error)) from error
    return decode_columns(batches, bodies, embedded().writer(1))


def outcome_of(raw: bytes, *, fast: bool) -> Any:
    try:
        decoded = decode(walk(raw), 0, 0, 1, AHEAD, fast=fast)
    except RefusedError:
        return "damaged"
    return decoded


def test_no_changed_byte_cut_or_insertion_makes_the_paths_disagree() -> None:
    attacks = []
    for at in range(BODY_FROM, len(SMALL)):
        head, byte, rest = SMALL[:at], SMALL[at], SMALL[at + 1 :]
        attacks += [head + bytes([byte ^ change]) + rest for change in (0x01, 0x80, 0xFF)]
        attacks += [head + rest, head + b"\x80" + SMALL[at:]]
    trusted = 0
    for attack in attacks:
        raw = resealed(attack)
        try:
            frame = columns_of(raw)
        except NotColumnarError:
            continue
        trusted += 1
        slow = outcome_of(raw, fast=False)
        assert slow != "damaged", "columns were trusted where the records are damaged"
        fast = outcome_of(raw, fast=True)
        assert same(fast, slow)
        assert frame.height == 3
    assert trusted > 50, "the attack must also reach changes that leave plain events behind"


def test_a_value_that_imitates_a_record_stays_inside_its_record() -> None:
    """A body that ends early, followed by bytes that look like the next record's beginning."""
    inner = body_of(event(2))
    smuggled = b"\x00" * 3 + struct.pack(">q", 2) + framed(inner)
    raw = batch_bytes([record(event(1)), (struct.pack(">q", 2), framed(inner) + smuggled, []), record(event(3))])
    fast, slow = both(raw)
    assert same(fast, slow)
    assert fast.events["user_id"].to_list() == [1, 3]
    assert [(entry.offset, entry.reason) for entry in fast.refused] == [(1, "trailing_bytes")]


def key(user: int) -> bytes:
    return struct.pack(">q", user)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ((key(2), framed(body_of(event(2)), magic=1), []), "wrong_magic"),
        ((key(2), b"\0\0", []), "wrong_magic"),
        ((key(2), framed(body_of(event(2)), schema_id=999), []), "unknown_schema"),
        ((key(2), framed(body_of(event(2)), schema_id=2), []), "unknown_schema"),
        ((key(2), framed(body_of(event(2))[:-3]), []), "undecodable"),
        ((key(2), framed(body_of(event(2))) + b"!", []), "trailing_bytes"),
        ((key(2), None, []), "null_value"),
        ((None, None, [("listening-tick", b"soon")]), "malformed_tick"),
        ((None, None, [("listening-tick", b"12")]), "malformed_tick"),
        ((None, framed(body_of(event(2))), []), "wrong_key"),
        ((b"2", framed(body_of(event(2))), []), "wrong_key"),
        ((key(3), framed(body_of(event(2))), []), "wrong_key"),
        ((key(2), framed(body_of(event(2)) + b"\0" * 4096), []), "too_large"),
        (record(event(2, played_at=NOON + 1000 + AHEAD + 1)), "ahead"),
        (record(event(2, ms_played=-1)), "implausible"),
        ((key(2), framed(body_of(event(2)).replace(b"SE\0", b"SE\2")), []), "undecodable"),
        (
            (key(2), framed(body_of(event(2)).replace(b"\x0e\x16\x0a", b"\x0e\x16" + b"\x8a" + b"\x80" * 8 + b"\x02")), []),
            "undecodable",
        ),
        (record(event(2, country="SWE")), "implausible"),
        (record(event(2, artist_id=0)), "implausible"),
    ],
)
def test_poison_is_refused_for_its_reason_and_its_neighbours_are_unharmed(item: Item, reason: str) -> None:
    for decoded in both(batch_bytes([record(event(1)), item, record(event(3))], codec=3)):
        assert decoded.events["user_id"].to_list() == [1, 3]
        assert [(entry.offset, entry.reason) for entry in decoded.refused] == [(1, reason)]


def test_a_padded_varint_is_still_its_number() -> None:
    padded = framed(body_of(event(2)).replace(b"\x0e\x16\x0a", b"\x0e\x16" + b"\x8a\x80\x00"))
    for decoded in both(batch_bytes([record(event(1)), (key(2), padded, []), record(event(3))])):
        assert decoded.events["album_id"].to_list() == [5, 5, 5]
        assert decoded.refused == []


@pytest.mark.parametrize("clock", [b"9" * 5000, b"000946684800000", b"946684800000"])
def test_a_tick_s_clock_may_be_any_time_since_2000(clock: bytes) -> None:
    for decoded in both(batch_bytes([(None, None, [("listening-tick", clock)])])):
        assert len(decoded.ticks) == 1


def test_an_event_exactly_as_far_ahead_as_allowed_is_taken() -> None:
    for decoded in both(batch_bytes([record(event(1, played_at=NOON + 1000 + AHEAD))])):
        assert decoded.refused == []


def test_an_event_in_another_partition_than_its_key_s_is_misrouted() -> None:
    raw = batch_bytes([record(event(user)) for user in range(1, 9)])
    # Kafka's own partitioner, of the Java client by way of aiokafka's port of it
    from aiokafka.partitioner import murmur2

    homes = [(murmur2(key(user)) & 0x7FFFFFFF) % 4 for user in range(1, 9)]
    for fast in (True, False):
        decoded = decode(walk(raw), 0, 2, 4, AHEAD, fast=fast)
        assert decoded.events["user_id"].to_list() == [
            user for user, home in zip(range(1, 9), homes, strict=True) if home == 2
        ]
        assert {entry.reason for entry in decoded.refused} == {"misrouted"}


def test_every_record_of_a_transaction_is_refused() -> None:
    for decoded in both(batch_bytes([record(event(1)), record(event(2))], transactional=True)):
        assert [entry.reason for entry in decoded.refused] == ["transactional", "transactional"]


def test_a_damaged_checksum_is_an_error_and_a_cut_batch_is_left_for_the_next_fetch() -> None:
    with pytest.raises(RefusedError, match="checksum"):
        walk(SMALL[:-1] + bytes([SMALL[-1] ^ 1]))
    assert walk(SMALL[:-1]) == []
    assert len(walk(SMALL + SMALL[:-1])) == 1


@given(st.lists(longs, min_size=1))
def test_varint_widths_are_those_of_avro(values: list[int]) -> None:
    def encoded_size(value: int) -> int:
        zigzag, size = (value << 1) ^ (value >> 63), 1
        while zigzag >= 0x80:
            zigzag, size = zigzag >> 7, size + 1
        return size

    assert varint_width(pl.Series(values, dtype=pl.Int64).to_numpy()).tolist() == [encoded_size(value) for value in values]


def test_the_fast_path_s_fields_are_the_schema_s() -> None:
    """Adding a field to the schema must not silently leave the columns behind."""
    names = [field["name"] for field in schemas.schema(schemas.EVENTS_SUBJECT, 1)["fields"]]
    decoded, _slow = both(SMALL)
    assert [name for name in decoded.events.columns if name in names] == names[1:]


def test_a_header_name_that_is_no_utf_8_harms_nobody() -> None:
    """The broker doesn't look at names; clients of other languages send bytes."""
    raw = batch_bytes([record(event(1)), record(event(2), [("näme", b"x")]), tick(NOON)])
    broken = resealed(raw.replace("näme".encode(), b"n\xff\xfeme"))
    assert broken != resealed(raw)
    for decoded in both(broken):
        assert decoded.events["user_id"].to_list() == [1, 2]
        assert len(decoded.ticks) == 1


def test_the_tolerant_reader_agrees_with_aiokafka_s() -> None:
    items = [record(event(1), [("a", b"1"), ("b", b"")]), tick(NOON), (b"k", b"v", []), (None, None, [])]
    for options in ({"codec": 3}, {"append_time": NOON + 5}, {"timestamps": [NOON, NOON + 9, NOON - 9, NOON]}):
        [batch] = walk(batch_bytes(items, base=50, **options))  # type: ignore[arg-type]
        ours = [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in tolerant_records(batch)]
        theirs = [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in kafka_records(batch)]
        assert ours == theirs
