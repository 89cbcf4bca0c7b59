import json
from dataclasses import replace
from io import StringIO

from rich.console import Console

from pipeline.verify.verdict import Check, KindTruth, Truth, Verdict

TRUTH = Truth(
    (KindTruth("play", 9, 9, 0, 1, 0, 0, 0, is_original=True), KindTruth("producer_retry", 4, 4, 3, 0, 1, 0, 0)),
    duplicates=3,
    copies=3,
    suspects=0,
    suspected_copies=0,
    late_plays=1,
    unknown=0,
    unreadable=("cut.parquet",),
)
EXACT = Verdict("live", 12, 1, {"accepted": 8, "duplicate": 3}, 1_767_225_600_000, (Check("plays", 8, 8, 0),), TRUTH)
WRONG = replace(EXACT, checks=(*EXACT.checks, Check("top_artists", 7, 1, 6, ("shard [0], rank 1: gone",))))


def printed(verdict: Verdict) -> str:
    console = Console(file=StringIO(), width=160)
    verdict.render(console)
    out = console.file
    assert isinstance(out, StringIO)
    return out.getvalue()


def test_an_exact_verdict_ends_with_those_words() -> None:
    text = printed(EXACT)
    assert text.rstrip().endswith("verify: exact")
    assert "75.0000%" in text
    assert "cut.parquet" in text
    assert "2026-01-01T00:00:00.000+00:00" in text


def test_a_verdict_that_is_not_exact_names_the_checks_and_the_first_differences() -> None:
    text = printed(WRONG)
    assert "verify: NOT exact: top_artists differ" in text
    assert "top_artists: shard [0], rank 1: gone" in text
    assert "and 5 more" in text


def test_what_was_not_compared_is_not_exact() -> None:
    verdict = replace(EXACT, checks=(Check("artist_counts", 7, 1, 0, not_compared="the log grew"),), grown=5)
    assert not verdict.exact
    assert "not decided: artist_counts" in printed(verdict)


def test_a_check_that_agreed_on_less_than_it_expected_is_not_exact() -> None:
    assert not Check("plays", 8, 7, 0).exact


def test_json_says_the_same() -> None:
    document = json.loads(json.dumps(WRONG.as_json()))
    assert (document["exact"], document["checks"][1]["exact"], document["checks"][0]["exact"]) == (False, False, True)
    assert document["truth"]["kinds"][1]["recall"] == 0.75
    assert document["truth"]["precision"] == 1.0
