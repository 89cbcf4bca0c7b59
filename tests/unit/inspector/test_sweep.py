"""The sweep's fold against verify's own recomputation of the same log under the same rules."""

from dataclasses import replace
from typing import Literal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codec.batches import walk
from pipeline.codec.decode import decode
from pipeline.inspector import sweep
from pipeline.inspector.sweep import PartitionLog, fold, horizons, tolerances
from pipeline.outcomes import Outcome
from pipeline.rules import Rules
from pipeline.verify.ledger import SCHEMA
from pipeline.verify.recompute import Record, recompute
from tests.unit.batches import NOON, Item, batch_bytes, event, record, tick

RULES = Rules(
    partitions=1,
    horizon_ms=20_000,
    grace_ms=5_000,
    slot_ms=1_000,
    pane_ms=1_000,
    max_ahead_ms=2_000,
    min_play_ms=5,
    plausibility="-",
    near_duplicates="mark",
    near_tolerance_ms=3_000,
)
items: st.SearchStrategy[Item] = st.one_of(
    st.builds(
        lambda number, at, service: record(
            event(number, user_id=1 + number % 2, played_at=NOON - at, ms_played=4 if at % 7 == 0 else 90, service=service)
        ),
        st.integers(1, 30),
        st.integers(0, 9_000),
        st.sampled_from("abc"),
    ),
    st.builds(lambda at: tick(NOON - at), st.integers(0, 9_000)),
    st.just((b"bad", b"poison", [])),
)


def log_of(items: list[Item], stamps: list[int]) -> PartitionLog:
    decoded = decode(walk(batch_bytes(items, 0, timestamps=stamps)), 0, 0, 1, RULES.max_ahead_ms)
    return PartitionLog(decoded.events, decoded.ticks, decoded.refused)


@pytest.mark.parametrize("near", ["off", "mark", "drop"])
@settings(max_examples=60, deadline=None)
@given(source=st.lists(items, min_size=1, max_size=40), rows=st.integers(1, 12))
def test_a_log_folded_again_is_what_verify_recomputes_of_it(
    near: Literal["off", "mark", "drop"], source: list[Item], rows: int
) -> None:
    rules, stamps = replace(RULES, near_duplicates=near), [NOON + 200 * at for at in range(len(source))]
    records = [Record(0, at, stamps[at], key, value, list(headers)) for at, (key, value, headers) in enumerate(source)]
    expected = recompute(records, ends=[len(source)], rules=rules, window_ms=60_000, top_k=3, shards=1).folds[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "BATCH_ROWS", rows)
        found = fold([log_of(source, stamps)], rules).outcomes.sort("offset")
    kinds = {at: kind for at, kind in enumerate(expected.kinds) if kind < len(Outcome)}
    assert dict(found.select("offset", "outcome").iter_rows()) == kinds
    firsts = dict(zip(expected.rows.integers[0], expected.rows.integers[1], strict=True))
    near_rows = {at for at, first in firsts.items() if first != at and kinds[at] != Outcome.DUPLICATE}
    assert set(found.filter("near")["offset"]) == near_rows


def ledger(*rows: tuple[int, str, int, int | None]) -> pl.DataFrame:
    """(id, kind, offset, id of the play it reports again)"""
    filled = [
        (number.to_bytes(16, "big"), kind, "acknowledged", 0, offset, other and other.to_bytes(16, "big"), None)
        for number, kind, offset, other in rows
    ]
    return pl.DataFrame(filled, SCHEMA, orient="row")


def test_a_wider_tolerance_finds_more_copies_and_suspects_more_plays() -> None:
    #  s       0        4 (copy of 1)   20       28 (a second person's own)
    times = [0, 4_000, 20_000, 28_000]
    source = [
        record(event(at + 1, user_id=1, played_at=NOON + time, ms_played=90, service="ab"[at % 2]))
        for at, time in enumerate(times)
    ]
    logs = [log_of(source, [NOON + time for time in times])]
    truth = ledger((1, "play", 0, None), (2, "cross_service", 1, 1), (3, "play", 2, None), (4, "play", 3, None))
    rules = [replace(RULES, near_tolerance_ms=ms) for ms in (3_000, 5_000, 10_000)]
    found = [(one.suspects, one.recall, one.precision, one.falsely_suspected) for one in tolerances(logs, truth, rules)]
    assert found == [(0, 0.0, None, 0), (1, 1.0, 1.0, 0), (2, 1.0, 0.5, 1)]
    assert [one.recall for one in tolerances(logs, None, rules)] == [None] * 3


def test_a_longer_horizon_remembers_more_ids_and_leaks_fewer_copies() -> None:
    #  s   0     30    31 (copy of 0's)   60
    times, numbers = [0, 30_000, 31_000, 60_000], [1, 2, 1, 3]
    source = [
        record(event(number, user_id=1, played_at=NOON + (0 if number == 1 else time), ms_played=90))
        for number, time in zip(numbers, times, strict=True)
    ]
    logs = [log_of(source, [NOON + time for time in times])]
    truth = ledger((1, "play", 0, None), (2, "play", 1, None), (1, "client_double_send", 2, None), (3, "play", 3, None))
    rules = [replace(RULES, horizon_ms=ms, near_duplicates="off") for ms in (20_000, 40_000, 90_000)]
    found = horizons(logs, truth, rules)
    assert [(one.duplicates, one.leaked) for one in found] == [(0, 1), (1, 0), (1, 0)]
    assert [one.remembered for one in found] == sorted(one.remembered for one in found)
