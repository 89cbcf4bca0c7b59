"""The ledger against small logs: what was acknowledged must be there, what failed must not, and who is the original."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.verify.ledger import SCHEMA, judge, load, log_frame
from pipeline.verify.recompute import Recomputed, Record
from pipeline.verify.verdict import Check, KindTruth, Truth
from tests.unit.verify.logs import RULES, log, play, tick

Row = tuple[Any, ...]


def row(name: str, kind: str, offset: int | None, status: str = "acknowledged") -> Row:
    return name, kind, status, None if offset is None else 0, offset


def cross(name: str, offset: int, original: str) -> Row:
    """Another service's report of the listen that `original` reports."""
    return name, "cross_service", "acknowledged", 0, offset, original.encode().ljust(16, b".")


def judged(result: Recomputed, *rows: Row) -> tuple[dict[str, KindTruth], Truth, Check]:
    ledger = pl.DataFrame(
        [(name.encode().ljust(16, b".") if name else None, *(*rest, None, None)[:6]) for name, *rest in rows],
        schema=SCHEMA,
        orient="row",
    )
    truth, check = judge(ledger, log_frame(result), result.ends, [])
    return {kind.kind: kind for kind in truth.kinds}, truth, check


def records() -> tuple[Record, ...]:
    #  s       0   1   1'   2    1''  100   50 late  50'
    #  offset  0   1   2    3    4    5     6        7
    return (
        play("a", 0),
        play("b", 1),
        play("b", 1, at=2),
        play("c", 2),
        play("b", 1, at=3),
        tick(100),
        play("d", 50, at=101),
        play("d", 50, at=102),
    )


RIGHT = (
    row("a", "play", 0),
    row("b", "play", 1),
    row("b", "client_double_send", 2),
    row("c", "play", 3),
    row("b", "producer_retry", 4),
    row("d", "play", 6),
    row("d", "producer_retry", 7),
)


def test_a_right_ledger_is_exact_and_every_copy_is_caught() -> None:
    kinds, truth, check = judged(log(*records()), *RIGHT)
    assert check == Check("ledger", 7, 7, 0)
    assert kinds["play"] == KindTruth(
        "play", 4, 4, caught=0, late=1, missed=0, invalid=0, wrongly_dropped=0, is_original=True
    )
    assert kinds["client_double_send"] == KindTruth("client_double_send", 1, 1, 1, 0, 0, 0, 0)
    assert kinds["producer_retry"] == KindTruth("producer_retry", 2, 2, 2, 0, 0, 0, 0)
    assert (truth.precision, kinds["producer_retry"].recall, truth.late_plays, truth.unknown) == (1.0, 1.0, 1, 0)


def test_an_acknowledged_row_that_the_log_does_not_hold_is_a_loss() -> None:
    for bad, told in (
        (row("a", "play", 3), "holds 632e"),  # another event lies there
        (row("a", "play", 5), "no such event"),  # a tick
        (row("a", "play", None), "partition None"),
    ):
        _, _, check = judged(log(*records()), bad, *RIGHT[1:])
        assert not check.exact
        assert any(told in sentence for sentence in check.differences), check


def test_poison_is_right_where_the_log_holds_an_invalid_record_of_its_id_or_of_none() -> None:
    unreadable, other_key = Record(0, 8, 0, b"?", b"no event"), play("e", 60, at=103)._replace(key=b"")
    result = log(*records(), unreadable, other_key)
    ledger = (*RIGHT, ("", "poison", "acknowledged", 0, 8), row("e", "poison", 9))
    kinds, truth, check = judged(result, *ledger)
    assert check == Check("ledger", 9, 9, 0)
    assert kinds["poison"] == KindTruth("poison", 2, 2, caught=0, late=0, missed=0, invalid=2, wrongly_dropped=0)
    assert (kinds["poison"].recall, truth.unknown) == (None, 0)


def test_poison_that_the_log_took_for_an_event_or_does_not_hold_is_told() -> None:
    unreadable = Record(0, 8, 0, b"?", b"no event")
    for bad in (row("a", "poison", 0), row("a", "poison", 8), ("", "poison", "acknowledged", 0, 5), row("e", "poison", 8)):
        _, _, check = judged(log(*records(), unreadable), bad, *RIGHT[1:])
        assert not check.exact
        assert any(sentence.startswith("poison ") for sentence in check.differences), check


def test_two_rows_of_one_place_are_told() -> None:
    _, _, check = judged(log(*records()), *RIGHT, row("b", "producer_retry", 4))
    assert "2 rows say they lie at partition 0, offset 4" in check.differences


def test_a_failed_row_must_not_be_in_the_log() -> None:
    result = log(*records())
    _, _, absent = judged(result, *RIGHT, row("z", "play", None, "failed"), row("b", "producer_retry", None, "failed"))
    assert absent.exact
    assert absent.expected == 9
    _, _, present = judged(result, *RIGHT[:-1], row("d", "producer_retry", None, "failed"))
    assert "lies at partition 0, offset 7" in present.differences[0]


def test_a_row_of_unknown_fate_may_be_in_the_log_or_not() -> None:
    kinds, _, check = judged(
        log(*records()), *RIGHT[:-1], row("d", "producer_retry", None, "unknown"), row("y", "play", None, "unknown")
    )
    assert check.exact
    assert kinds["producer_retry"].caught == 2
    assert (kinds["play"].published, kinds["play"].in_log) == (5, 4)


def test_a_copy_that_overtook_its_original_trades_kinds_with_it() -> None:
    #  the second send is appended first: it is the original, and the first send is the copy that is caught
    result = log(play("a", 0), play("a", 0, at=1))
    kinds, truth, check = judged(result, row("a", "client_double_send", 0), row("a", "play", 1))
    assert check.exact
    assert (kinds["play"].in_log, kinds["play"].wrongly_dropped) == (1, 0)
    assert (kinds["client_double_send"].in_log, kinds["client_double_send"].caught) == (1, 1)
    assert truth.precision == 1.0


def test_a_copy_whose_original_never_arrived_is_the_original() -> None:
    kinds, _, check = judged(log(play("a", 0)), row("a", "play", None, "failed"), row("a", "producer_retry", 0))
    assert check.exact
    assert (kinds["play"].in_log, kinds["producer_retry"].in_log) == (1, 0)


def test_an_invalid_record_is_nobodys_original() -> None:
    #  offset 0: ten seconds ahead of the broker: invalid   1: the same event, in time
    kinds, _, check = judged(
        log(play("a", 20, at=10), play("a", 20, at=20)), row("a", "play", 0), row("a", "producer_retry", 1)
    )
    assert check.exact
    assert (kinds["play"].in_log, kinds["play"].wrongly_dropped) == (1, 0)
    assert (kinds["producer_retry"].invalid, kinds["producer_retry"].missed) == (1, 0)


def test_copies_past_the_horizon_are_late_and_one_that_gets_through_lowers_the_recall() -> None:
    #  horizon 60 s, whole slots: a copy played at 0 is late at 100; a client that restamps its copy gets through
    result = log(play("a", 0), tick(100), play("a", 0, at=101), play("a", 99, at=102))
    kinds, _, _ = judged(result, row("a", "play", 0), row("a", "producer_retry", 2), row("a", "producer_retry", 3))
    assert kinds["producer_retry"] == KindTruth(
        "producer_retry", 2, 2, caught=0, late=1, missed=1, invalid=0, wrongly_dropped=0
    )
    assert kinds["producer_retry"].recall == 0.0


def test_an_original_that_ended_as_a_duplicate_would_be_wrongly_dropped() -> None:
    result = log(play("a", 0), play("a", 0, at=1))
    lying = log_frame(result).with_columns(outcome=pl.lit(1, pl.Int64))
    ledger = pl.DataFrame([(b"a".ljust(16, b"."), "play", "acknowledged", 0, 0, None, None)], schema=SCHEMA, orient="row")
    truth, _ = judge(ledger, lying, [1], [])
    assert (truth.kinds[0].wrongly_dropped, truth.precision) == (1, 0.0)


def test_rows_acknowledged_past_the_snapshot_are_left_out_and_strangers_counted() -> None:
    _, truth, check = judged(log(*records(), play("s", 101)), *RIGHT, row("x", "play", 9))
    assert check == Check("ledger", 7, 7, 0)
    assert truth.unknown == 1


def test_files_of_producers_that_were_killed_are_named(tmp_path: Path) -> None:
    assert load(tmp_path) is None
    columns: dict[str, Any] = {"event_id": [b"a" * 16], "kind": ["play"], "status": ["unknown"]}
    frame = pl.DataFrame(columns | {"partition": [None], "offset": [None], "user_id": [1]})
    frame.write_parquet(tmp_path / "1.parquet")
    (tmp_path / "2.parquet").write_bytes((tmp_path / "1.parquet").read_bytes()[:-20])
    found = load(tmp_path)
    assert found is not None
    assert (found[0].height, found[1]) == (1, ["2.parquet"])


NEAR = replace(RULES, near_duplicates="drop", near_tolerance_ms=30_000)


def test_another_service_s_copies_are_caught_or_missed_by_what_they_copy() -> None:
    #  s       0  21    90     141             200       203 (29 s)
    #  offset  0  1     2      3               4         5
    #          a  a2    b      b2 too far off  c skipped c2 skipped
    short = {"ms_played": 29_000, "track_id": 9}
    result = log(
        play("a", 0),
        play("a2", 21, service="theirs"),
        play("b", 90),
        play("b2", 141, service="theirs"),
        play("c", 200, **short),
        play("c2", 203, service="theirs", **short),
        rules=NEAR,
    )
    kinds, truth, check = judged(
        result,
        *(row("a", "play", 0), cross("a2", 1, "a"), row("b", "play", 2), cross("b2", 3, "b")),
        *(row("c", "play", 4), cross("c2", 5, "c")),
    )
    assert check.exact
    theirs = kinds["cross_service"]
    assert (theirs.published, theirs.in_log, theirs.caught, theirs.missed, theirs.skipped) == (3, 3, 1, 1, 1)
    assert theirs.recall == 0.5
    assert (truth.suspects, truth.near_precision, kinds["play"].wrongly_suspected) == (1, 1.0, 0)


def test_a_play_that_is_taken_for_another_service_s_copy_is_wrongly_suspected_under_its_own_name() -> None:
    #  two people on one account play the same track on two services
    result = log(play("a", 0), play("b", 21, service="theirs"), rules=NEAR)
    other = ("b", "play", "acknowledged", 0, 1, None, "shared_account")
    kinds, truth, _ = judged(result, row("a", "play", 0), other)
    assert (kinds["play"].published, kinds["shared_account"].published) == (1, 1)
    assert kinds["shared_account"].wrongly_suspected == 1
    assert (kinds["shared_account"].recall, truth.near_precision) == (None, 0.0)


def test_a_report_that_overtook_the_play_it_copies_trades_kinds_with_it() -> None:
    result = log(play("a2", 21, service="theirs"), play("a", 20), rules=NEAR)
    kinds, _, _ = judged(result, cross("a2", 0, "a"), row("a", "play", 1))
    assert (kinds["cross_service"].caught, kinds["play"].wrongly_suspected) == (1, 0)


def test_a_report_of_a_play_that_came_too_late_is_the_listen_that_counts() -> None:
    result = log(play("x", 100, track_id=8), play("a", 50, at=101), play("a2", 95, service="theirs"), rules=NEAR)
    kinds, _, _ = judged(result, row("x", "play", 0), row("a", "play", 1), cross("a2", 2, "a"))
    assert (kinds["play"].in_log, kinds["play"].late, kinds["cross_service"].late) == (2, 0, 1)
