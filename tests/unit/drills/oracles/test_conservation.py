"""O3 on records made by hand."""

from pipeline.drills.oracles.conservation import fold, letter_faults, letter_of, store_differences
from pipeline.drills.oracles.reading import Raw
from tests.unit.drills.oracles.raws import NAMES, plays


def test_offsets_are_added_up_by_what_became_of_them_and_by_partition() -> None:
    folded = fold([plays(0, 0, "aadi"), plays(1, 4, "t-"), plays(0, 0, "i", partition=1), plays(0, 0, "aaa", offset=2)])
    assert folded.wrong == []
    assert folded.sums[0] == dict.fromkeys(NAMES, 0) | {
        "accepted": 2, "duplicate": 1, "invalid": 1, "ticks": 1, "absent": 1,
    }  # fmt: skip
    assert (folded.refused, folded.batches, folded.ignored, folded.rows) == ({(0, 3), (1, 0)}, 3, 1, 5)


def test_rows_that_are_not_what_the_headers_say_are_named() -> None:
    folded = fold([plays(0, 0, "aad", accepted=1, duplicate=2)])
    assert "holds rows {'accepted': 2, 'duplicate': 1}" in folded.wrong[0]


def test_rows_of_other_offsets_than_the_range_are_named() -> None:
    assert "holds rows that are not of 5 to 7" in fold([plays(0, 0, "aad", first=5, last=7)]).wrong[0]


def test_one_offset_twice_is_named() -> None:
    assert "holds rows that are not of 0 to 2, each once" in fold([plays(0, 0, "aad", step=0)]).wrong[0]


def test_a_damaged_container_is_named() -> None:
    raw = plays(0, 0, "aad")
    [sentence] = fold([Raw(0, 0, None, b"Obj", raw.headers)]).wrong
    assert sentence.startswith("plays partition 0, offset 0 holds no container")


def letter(topic: str = "r.events", partition: bytes = b"2", offset: bytes = b"17", reason: bytes = b"too_large") -> Raw:
    marks = {"topic": topic.encode(), "partition": partition, "offset": offset, "exception.class.name": reason}
    return Raw(0, 0, None, None, {f"__connect.errors.{name}": text for name, text in marks.items()})


def test_a_letter_says_where_its_record_lay_and_anybody_elses_is_none() -> None:
    assert letter_of(letter(), "r.events") == ((2, 17), b"too_large")
    assert letter_of(letter(topic="other"), "r.events") is None
    assert letter_of(letter(offset=b"-1"), "r.events") is None
    assert letter_of(Raw(0, 0, None, None, {}), "r.events") is None


def test_each_refusal_has_a_letter_and_each_letter_a_refusal() -> None:
    letters = [((0, 1), b"a"), ((0, 1), b"a"), ((1, 5), b"a"), ((1, 6), b"unknown_schema")]
    assert letter_faults({(0, 1), (1, 5)}, letters) == []
    assert letter_faults({(0, 1), (0, 2)}, letters) == [
        "partition 0, offset 2 is invalid and has no dead letter",
        "partition 1, offset 5 has a dead letter and is not invalid",
    ]


def test_the_store_is_compared_by_partition_and_outcome() -> None:
    same = {0: dict.fromkeys(NAMES, 2), 1: dict.fromkeys(NAMES, 0)}
    assert store_differences(same, {0: dict.fromkeys(NAMES, 2)}) == []  # a silent partition has no batches
    assert store_differences(same, {0: dict.fromkeys(NAMES, 2) | {"late": 3}}) == [
        "partition 0: the store has 3 late, plays 2"
    ]
    assert store_differences({}, {4: dict.fromkeys(NAMES, 0) | {"ticks": 1}}) == [
        "partition 4: the store has 1 ticks, plays 0"
    ]
