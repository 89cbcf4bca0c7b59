"""Records → rows, without engine or broker."""

import io
import json
from typing import Any

import fastavro
import pyarrow as pa
import pytest

from pipeline.errors import RefusedError
from pipeline.settings import Settings
from pipeline.store.readers import ArtistsReader, CountsReader, PlaysReader, TopsReader
from pipeline.store.records import Record
from tests.unit.store.made import SCHEMAS, T0, artist, counts, event_id, headers, play, plays, top

RULES = "a=1;b=2"


def record(offset: int, made: tuple[list[tuple[str, bytes]], bytes], partition: int = 0) -> Record:
    return Record(partition, offset, *made)


def test_a_record_becomes_plays_duplicates_and_one_batch() -> None:
    rows = [play(0), play(1, "late"), play(2, "duplicate", first_offset=0), play(3, "skipped"), play(4, "invalid")]
    read = dict(PlaysReader(RULES).read(record(0, plays(0, rows, RULES, ticks=2), partition=3)) or [])
    assert read["plays"].select(["source_partition", "source_offset", "event_id", "outcome"]).to_pylist() == [
        {"source_partition": 3, "source_offset": 0, "event_id": event_id(0).bytes, "outcome": "accepted"},
        {"source_partition": 3, "source_offset": 1, "event_id": event_id(1).bytes, "outcome": "late"},
    ]
    assert read["duplicates"].select(["source_offset", "first_offset"]).to_pylist() == [
        {"source_offset": 2, "first_offset": 0}
    ]
    batch = read["batches"].to_pylist()[0]
    assert batch.pop("watermark").timestamp() * 1000 == T0 + 30
    assert batch == {
        "source_partition": 3,
        "first_offset": 0,
        "last_offset": 6,
        "records": 5,
        "ticks": 2,
        "absent": 0,
        "accepted": 1,
        "duplicates": 1,
        "late": 1,
        "skipped": 1,
        "suspect": 0,
        "invalid": 1,
    }


def test_what_another_service_reported_already_is_stored_with_the_row_it_repeats() -> None:
    rows = [play(0), play(1, first_offset=0), play(2, "suspect", first_offset=0), play(3, "late")]
    read = dict(PlaysReader(RULES).read(record(0, plays(0, rows, RULES))) or [])
    assert read["plays"].select(["outcome", "suspect_of"]).to_pylist() == [
        {"outcome": "accepted", "suspect_of": None},
        {"outcome": "accepted", "suspect_of": 0},
        {"outcome": "suspect", "suspect_of": 0},
        {"outcome": "late", "suspect_of": None},
    ]
    assert read["batches"].to_pylist()[0]["suspect"] == 1


@pytest.mark.parametrize("value", [b"", None])
def test_a_record_of_ticks_alone_may_be_empty(value: bytes | None) -> None:
    made, _ = plays(0, [], RULES, ticks=3, watermark=T0)
    reader = PlaysReader(RULES)
    assert [table for table, _ in reader.read(Record(0, 0, made, value)) or []] == ["batches"]
    assert reader.metadata(0, 1) == "3"


def test_a_container_without_rows_is_read_too() -> None:
    assert [name for name, _ in PlaysReader(RULES).read(record(0, plays(0, [], RULES, ticks=1))) or []] == ["batches"]


def test_a_record_at_another_offset_than_it_names_is_passed_over_and_moves_nothing() -> None:
    reader = PlaysReader(RULES)
    assert reader.read(record(5, plays(0, [play(0)], RULES))) is None
    assert reader.read(Record(0, 6, headers(at=6), b"")) is None
    assert reader.read(record(7, plays(7, [play(0)], RULES))) is not None
    assert reader.metadata(0, 1) == "1"


@pytest.mark.parametrize("first", [2, 0])
def test_a_gap_or_an_overlap_in_source_ranges_is_refused(first: int) -> None:
    reader = PlaysReader(RULES)
    reader.read(record(0, plays(0, [play(0)], RULES)))
    with pytest.raises(RefusedError, match=f"source offset {first}, expected was 1"):
        reader.read(record(1, plays(1, [play(first)], RULES)))


def test_the_first_record_of_a_log_must_begin_at_source_offset_0() -> None:
    with pytest.raises(RefusedError, match="expected was 0"):
        PlaysReader(RULES).read(record(0, plays(0, [play(4)], RULES)))


def test_a_reader_resumes_from_what_it_gave_as_metadata() -> None:
    reader, again = PlaysReader(RULES), PlaysReader(RULES)
    reader.read(record(0, plays(0, [play(0), play(1)], RULES)))
    again.resume(0, reader.metadata(0, 1))
    assert again.read(record(9, plays(9, [play(2)], RULES))) is not None


def test_other_rules_are_refused_and_the_difference_named() -> None:
    with pytest.raises(RefusedError, match="b: 3 in the log, 2 here"):
        PlaysReader(RULES).read(record(0, plays(0, [play(0)], "a=1;b=3")))
    with pytest.raises(RefusedError, match="b: 3 in the log, 2 here"):
        CountsReader(RULES).read(record(0, counts(0, [], counted=1, watermark=T0, rules="a=1;b=3")))


def test_a_valid_record_whose_rows_are_not_what_it_says_is_refused() -> None:
    made, _ = plays(0, [play(0), play(1)], RULES)
    _, value = plays(0, [play(0)], RULES)
    with pytest.raises(RefusedError, match="holds 1 rows, its headers say 2"):
        PlaysReader(RULES).read(Record(0, 0, made, value))


@pytest.mark.parametrize("value", [b"no container", b"Obj\x01\x00"])
def test_a_valid_record_that_can_not_be_read_is_refused(value: bytes) -> None:
    made, _ = plays(0, [play(0)], RULES)
    with pytest.raises(RefusedError, match="offset 0"):
        PlaysReader(RULES).read(Record(0, 0, made, value))


@pytest.mark.parametrize("wrong", [{"event_id": b"short"}, {"event_id": None}, {"user_id": None}, {"ms_played": -1}])
def test_an_accepted_row_that_does_not_fit_the_table_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RefusedError, match="don't fit plays"):
        PlaysReader(RULES).read(record(0, plays(0, [play(0, **wrong)], RULES)))


ROWS = [
    play(0, platform="ios", service="own", country="DE"),
    play(1, "duplicate", first_offset=0, platform="ios", service="own", country="DE"),
    play(2, "late", platform="tv", service="other", country="FR"),
    play(3, "invalid"),
    play(4, first_offset=2, platform="web", service="third", country="SE"),
]


def _packed(value: bytes, kind: Any) -> bytes:
    """The same rows with every text by dictionary, of indices of this type."""
    rows = pa.ipc.open_stream(value).read_all()
    for number, field in enumerate(rows.schema):
        if field.type == pa.string():
            rows = rows.set_column(number, field.name, rows.column(number).cast(pa.dictionary(kind, pa.large_string())))
    out = io.BytesIO()
    with pa.ipc.new_stream(out, rows.schema) as writer:
        writer.write_table(rows)
    return out.getvalue()


def _avro() -> bytes:
    schema = json.loads((SCHEMAS / "plays-value" / "1.avsc").read_text())
    out = io.BytesIO()
    nothing = {field["name"]: None for field in schema["fields"]}
    fastavro.writer(out, fastavro.parse_schema(schema), [nothing | row for row in ROWS])
    return out.getvalue()


def test_rows_are_the_same_however_their_texts_are_packed() -> None:
    made, value = plays(0, ROWS, RULES)
    read = [
        {name: rows.to_pylist() for name, rows in PlaysReader(RULES).read(Record(0, 0, made, packed)) or []}
        for packed in (value, _packed(value, pa.int8()), _packed(value, pa.int32()), _avro())
    ]
    texts = [(row["source_offset"], row["platform"], row["service"], row["country"]) for row in read[0]["plays"]]
    assert texts == [(0, "ios", "own", "DE"), (2, "tv", "other", "FR"), (4, "web", "third", "SE")]
    assert [row["suspect_of"] for row in read[0]["plays"]] == [None, None, 2]
    assert [row["country"] for row in read[0]["duplicates"]] == ["DE"]
    assert read[1:] == read[:1] * 3


def test_an_accepted_row_whose_dictionary_holds_a_null_is_refused() -> None:
    made, value = plays(0, [play(0)], RULES)
    rows = pa.ipc.open_stream(value).read_all()
    null = pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), pa.array([None], pa.string()))
    rows = rows.set_column(rows.column_names.index("country"), "country", null)
    out = io.BytesIO()
    with pa.ipc.new_stream(out, rows.schema) as writer:
        writer.write_table(rows)
    with pytest.raises(RefusedError, match="1 nulls in country"):
        PlaysReader(RULES).read(Record(0, 0, made, out.getvalue()))


def test_outcomes_that_are_no_texts_are_refused() -> None:
    made, value = plays(0, [play(0)], RULES)
    rows = pa.ipc.open_stream(value).read_all()
    rows = rows.set_column(rows.column_names.index("outcome"), "outcome", pa.array([[1]]))
    out = io.BytesIO()
    with pa.ipc.new_stream(out, rows.schema) as writer:
        writer.write_table(rows)
    with pytest.raises(RefusedError, match="offset 0 holds outcomes that are none"):
        PlaysReader(RULES).read(Record(0, 0, made, out.getvalue()))


def test_counts_move_their_position_only_with_the_last_part() -> None:
    made, value = counts(2, [(T0, 7, 3)], counted=9, watermark=T0 + 5, rules=RULES)
    first = [(name, b"2" if name == "parts" else text) for name, text in made]
    assert [name for name, _ in CountsReader(RULES).read(Record(1, 0, first, value)) or []] == ["artist_counts"]
    read = dict(CountsReader(RULES).read(Record(1, 0, made, value)) or [])
    assert read["count_positions"].select(["source_partition", "shard", "counted"]).to_pylist() == [
        {"source_partition": 2, "shard": 1, "counted": 9}
    ]
    assert read["artist_counts"].drop_columns("pane").to_pylist() == [
        {"artist_id": 7, "source_partition": 2, "plays": 3, "version": 9}
    ]


def test_a_final_list_outranks_every_provisional_one() -> None:
    def version(final: bool, counted: int) -> int:
        rows = TopsReader().read(record(0, top(T0, 0, [(1, 1)], final=final, counted=counted))) or []
        return int(rows[0][1].column("version")[0].as_py())

    assert version(True, 5) > version(False, 2**62) > version(False, 5)


def test_records_that_are_no_names_counts_or_lists_are_passed_over() -> None:
    (_, rows), *_ = ArtistsReader().read(Record(0, 0, [], artist(5, "Ümläut"))) or []
    assert rows.to_pylist() == [{"artist_id": 5, "name": "Ümläut"}]
    for value in (None, b"", b"\1abcd", b"\0\0\0\0\1rest", b"\0\0\0\0\2"):
        assert ArtistsReader().read(Record(0, 0, [], value)) is None
    assert CountsReader(RULES).read(Record(0, 0, [], b"")) is None
    assert TopsReader().read(Record(0, 0, headers(window_end="x"), b"")) is None


def test_the_rules_of_settings_are_what_a_reader_compares(settings: Settings) -> None:
    reader = PlaysReader(settings.rules.fingerprint)
    assert reader.read(record(0, plays(0, [play(0)], settings.rules.fingerprint)))
