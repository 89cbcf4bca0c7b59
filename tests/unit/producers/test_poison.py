"""Poison: what becomes of it, by verify's own reading of the log, and whether its id can be read is as the ledger says."""

import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from pipeline.verify.partitioner import partition_of
from pipeline.verify.recompute import Record, recompute
from producers.columns import Columns, take
from producers.encode import encode_columns, encode_keys
from producers.faults.poison import corrupt
from producers.kinds import READABLE, Kind, Poison
from producers.scenarios.model import Scenario
from tests.unit.producers.worlds import RULES, identities, perform

TOLD = {
    Poison.WRONG_MAGIC: "no Confluent frame",
    Poison.UNKNOWN_SCHEMA: "schema id 2147483647 is none",
    Poison.UNDECODABLE: "no Avro body",
    Poison.TRAILING_BYTES: "bytes after the event",
    Poison.TOO_LARGE: "more than max_event_bytes",
    Poison.NULL_VALUE: "no value, and no tick",
    Poison.WRONG_KEY: "the key is not its user_id",
    Poison.MISROUTED: "misrouted",
    Poison.IMPLAUSIBLE: "ms_played=-.* is out of its limits",
    Poison.AHEAD: "too far ahead",
}


def sent(records: Columns) -> list[Record]:
    """The records as a broker of RULES.partitions would hold them."""
    buffer, bounds = encode_columns(records)
    keys = encode_keys(records["user_id"])
    values: list[bytes | None] = [buffer[begin:end] for begin, end in pairwise(bounds)]
    made, offsets = [], [0] * RULES.partitions
    stamps = records["true_sent_at"].tolist()
    targets = corrupt(records["poison"], keys, values, RULES.partitions)
    for key, value, wanted, at in zip(keys, values, targets, stamps, strict=True):
        partition = partition_of(key, RULES.partitions) if wanted == -1 else wanted
        made.append(Record(partition, offsets[partition], at, key, value))
        offsets[partition] += 1
    return made


@pytest.mark.parametrize("kind", list(Poison))
def test_each_kind_is_invalid_for_its_reason_and_carries_its_id_or_not_as_the_ledger_will_say(kind: Poison) -> None:
    poison: Any = {"share": 0.2, "kinds": [kind.label]}
    records = perform(Scenario(events=2_000, minutes=10, artists=50, users=500, poison=poison))
    is_poison = records["kind"] == Kind.POISON
    assert is_poison.sum() == 400
    log = sent(records)
    ends = [sum(record.partition == partition for record in log) for partition in range(RULES.partitions)]
    result = recompute(log, ends=ends, rules=RULES, window_ms=60_000, top_k=1, shards=1)
    for record, identity, bad in zip(log, identities(records), is_poison.tolist(), strict=True):
        error = result.folds[record.partition].invalid.get(record.offset)
        assert (error is not None) == bad
        if error:
            assert re.search(TOLD[kind], str(error))
            assert error.event_id == (identity if kind in READABLE else None)


def test_kinds_are_mixed_as_often_as_each_other_and_have_ids_of_their_own() -> None:
    records = perform(Scenario(events=20_000, minutes=10, artists=50, users=500, poison=0.5))
    bad = take(records, records["kind"] == Kind.POISON)
    counts = np.bincount(bad["poison"], minlength=len(Poison))
    assert counts.sum() == 10_000
    assert (np.abs(counts - 1_000) < 150).all()
    ids = identities(bad)
    assert len(set(ids)) == len(ids)
    assert not set(ids) & set(identities(take(records, records["kind"] != Kind.POISON)))
    assert set(records["poison"][records["kind"] != Kind.POISON].tolist()) == {-1}
