"""What would become of refused records: said beforehand by the rules that decide afterwards."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline.codec.batches import walk
from pipeline.codec.decode import decode
from pipeline.codec.known import Known, UndecidedSchemasError, embedded
from pipeline.codec.murmur import partition_of_key
from pipeline.dedup.decide import Memory
from pipeline.dlq.fates import STAYS, fates_of
from pipeline.dlq.letters import Letter
from pipeline.log.batch import classify
from pipeline.outcomes import LABELS
from pipeline.rules import Rules
from tests.unit.batches import NOON, batch_bytes, body_of, event, framed, record

RULES = Rules(
    partitions=2, horizon_ms=600_000, grace_ms=10_000, slot_ms=10_000, pane_ms=10_000, max_ahead_ms=5_000,
    min_play_ms=30_000, plausibility="test",
)  # fmt: skip


def letter(number: int, value: bytes | None, **changes: Any) -> Letter:
    fields = {"partition": 0, "offset": number, "appended_at": NOON, "reason": "wrong_key", "message": "", "key": b"?"}
    return Letter(**(fields | {"value": value, "headers": []} | changes))


def home(user: int) -> int:
    return partition_of_key(struct.pack(">q", user), RULES.partitions)


def classified(log: list[dict[str, Any]], memory: Memory, partition: int) -> list[str]:
    """What classify makes of these events at the end of its log, offsets from the memory's next on."""
    raw = batch_bytes([record(fields) for fields in log], memory.next_offset, append_time=NOON)
    decoded = decode(walk(raw), memory.next_offset, partition, RULES.partitions, RULES.max_ahead_ms)
    record_of = classify(memory, decoded, RULES)
    return [label for label, count in zip(LABELS, record_of.counts, strict=True) for _ in range(count)]


plays = st.builds(
    lambda number, user, ago, ms: event(user, event_id=number.to_bytes(16, "big"), played_at=NOON - ago, ms_played=ms),
    st.integers(1, 6), st.integers(1, 4), st.integers(-6_000, 700_000), st.sampled_from([5, 60_000]),
)  # fmt: skip


@hypothesis_settings(max_examples=100, deadline=None)
@given(st.lists(plays, max_size=6), st.lists(plays, max_size=8))
def test_what_is_said_is_what_classify_decides_when_they_are_sent(
    log: list[dict[str, Any]], letters: list[dict[str, Any]]
) -> None:
    def memory_of(partition: int) -> Memory:
        memory, mine = Memory(), [fields for fields in log if home(fields["user_id"]) == partition]
        if mine:
            classified(mine, memory, partition)
        return memory

    fates = fates_of(
        [letter(number, framed(body_of(fields))) for number, fields in enumerate(letters)],
        embedded(), memory_of, RULES, now=NOON,
    )  # fmt: skip
    memories = {partition: memory_of(partition) for partition in range(RULES.partitions)}
    for fields, fate in zip(letters, fates, strict=True):
        partition = home(fields["user_id"])
        (outcome,) = classified([fields], memories[partition], partition)
        assert fate.outcome == (STAYS if outcome == "invalid" else outcome)
        assert fate.is_sent == (outcome not in ("invalid", "duplicate"))
        if fate.outcome != STAYS:
            assert (fate.key, fate.partition) == (struct.pack(">q", fields["user_id"]), partition)


def test_what_is_no_event_stays_and_says_why() -> None:
    letters = [letter(0, None), letter(1, b"nonsense"), letter(2, None, left_out=10**9), letter(3, framed(b"", 77))]
    fates = fates_of(letters, embedded(), lambda _partition: Memory(), RULES, now=NOON)
    assert [fate.outcome for fate in fates] == [STAYS] * 4
    assert [fate.why.partition(":")[0] for fate in fates] == ["null_value", "wrong_magic", "too_large", "unknown_schema"]


def test_a_copy_of_a_letter_before_it_is_not_sent_and_a_copy_of_the_log_s_names_its_place() -> None:
    def memory_of(partition: int) -> Memory:
        memory = Memory(next_offset=40)
        classified([event(1, played_at=NOON)], memory, partition)
        return memory

    value, other = framed(body_of(event(1, played_at=NOON))), framed(body_of(event(1, event_id=b"o" * 16, played_at=NOON)))
    fates = fates_of([letter(0, value), letter(1, other), letter(2, other)], embedded(), memory_of, RULES, now=NOON)
    assert [fate.outcome for fate in fates] == ["duplicate", "accepted", "duplicate"]
    assert f"partition {home(1)}, offset 40" in fates[0].why
    assert fates[2].why == "a copy of another letter here"


def test_all_schemas_that_must_be_asked_for_are_named_at_once() -> None:
    letters = [letter(number, framed(body_of(event(1)), schema_id=100 + number % 3)) for number in range(9)]
    with pytest.raises(UndecidedSchemasError) as raised:
        fates_of(letters, Known(), lambda _: Memory(), RULES, None)
    assert raised.value.ids == (100, 101, 102)
