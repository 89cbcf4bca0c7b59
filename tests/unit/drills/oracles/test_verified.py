"""O1 and O2, which read one verdict of verify, and O5's comparison."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pipeline.drills.oracles.equality import equality
from pipeline.drills.oracles.ledger import ledger
from pipeline.drills.oracles.replay import compared
from pipeline.verify.verdict import Check, KindTruth, Truth, Verdict

PLAY = KindTruth("play", 90, 88, 0, 1, 0, 0, 0, is_original=True)
COPY = KindTruth("producer_retry", 10, 10, 9, 1, 0, 0, 0)
CROSS = KindTruth("cross_service", 4, 4, 1, 0, 3, 0, 0)
TRUTH = Truth((PLAY, COPY, CROSS), duplicates=9, copies=9, suspects=1, suspected_copies=1, late_plays=1, unknown=0)
CHECKS = (Check("plays", 80, 80, 0), Check("artist_counts", 7, 7, 0), Check("ledger", 99, 99, 0))
FINE = Verdict("r", 120, 20, {}, 0, CHECKS, TRUTH)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    statuses = ["acknowledged"] * 97 + ["failed"] * 2 + ["unknown"] * 5
    pl.DataFrame({"event_id": [b"x" * 16] * len(statuses), "kind": "play", "status": statuses}).write_parquet(
        tmp_path / "one.parquet"
    )
    return tmp_path


def test_one_verdict_of_verify_is_enough_for_equality_and_the_ledger(folder: Path) -> None:
    assert equality(FINE).sentence == "120 offsets recomputed; equal: 80 plays, 7 artist_counts"
    verdict = ledger(FINE, folder)
    assert verdict.holds  # a copy under another id that counts is none of this promise
    assert [verdict.figures[name] for name in ("acknowledged", "failed", "unknown")] == [97, 2, 5]


def test_equality_says_the_first_differences_and_leaves_the_ledger_to_its_own_oracle(folder: Path) -> None:
    wrong = Check("plays", 80, 79, 3, ("row 7 is missing",))
    verdict = equality(replace(FINE, checks=(wrong, *CHECKS[1:])))
    assert (verdict.holds, verdict.sentence) == (False, "plays: row 7 is missing | and 2 more")
    lost = Check("ledger", 99, 98, 1, ("play 00 was acknowledged, the log holds no such event",))
    assert equality(replace(FINE, checks=(*CHECKS[:2], lost))).holds
    assert "holds no such event" in ledger(replace(FINE, checks=(*CHECKS[:2], lost)), folder).sentence


def test_what_was_not_compared_does_not_hold() -> None:
    left = Check("top_artists", 5, 5, 0, not_compared="the log grew")
    assert equality(replace(FINE, checks=(left,))).sentence == "top_artists: the log grew"
    assert equality(replace(FINE, checks=())).holds is False


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        (replace(TRUTH, kinds=(PLAY, replace(COPY, caught=8, missed=1))), "1 of 10 producer_retry copies were missed"),
        (replace(TRUTH, kinds=(replace(PLAY, wrongly_dropped=2), COPY)), "2 of 90 play originals were dropped"),
        (replace(TRUTH, duplicates=10), "1 duplicates are no copies"),
    ],
)
def test_a_copy_that_counts_and_an_original_that_does_not_break_the_promise(folder: Path, truth: Truth, reason: str) -> None:
    verdict = ledger(replace(FINE, truth=truth), folder)
    assert verdict.holds is False
    assert reason in verdict.sentence


def test_without_a_ledger_there_is_nothing_to_judge(tmp_path: Path) -> None:
    assert ledger(replace(FINE, truth=None, checks=CHECKS[:2]), tmp_path).holds is None


def test_two_runs_are_compared_table_by_table() -> None:
    one = {"plays": "1,000 rows, AB", "top_artists": "9 rows, CD"}
    assert compared(one, dict(one), {}).sentence == "plays: 1,000 rows equal; top_artists: 9 rows equal"
    other = compared(one, {"plays": "1,000 rows, AB"}, {})
    assert other.holds is False
    assert other.sentence == "top_artists: 9 rows, CD, the second run nothing; plays: 1,000 rows equal"
