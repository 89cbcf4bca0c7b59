"""Results of a contest: what a peer prints, and ratios round by round."""

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.results import WANTED, NoResultError, Round, parse_result, ratio, ratios

rounds = st.builds(Round, st.integers(1, 10**7), st.floats(0.01, 1e4))


def at_rate(rate: float) -> Round:
    return Round(1000, 1000 / rate)


def test_a_peers_result_is_its_last_line_of_that_form() -> None:
    output = "warming up\nRES quix-streams 5 1 ev/s\nRES kafka-streams 2000000 52341 ev/s rocks threads=2\nbye\n"
    assert parse_result(output) == (2_000_000, 52_341.0)


@pytest.mark.parametrize(
    "output",
    ["", "Traceback (most recent call last)\n", "RES faust\n", "RES faust many 3 ev/s\n", "RES f 9 0 ev/s\n",
     "RES f 9 Infinity ev/s\n", "RES f 9 nan ev/s\n", "RES f 0 5 ev/s\n", " RES f 9 5 ev/s\n"],
)  # fmt: skip
def test_what_is_no_result_is_refused(output: str) -> None:
    with pytest.raises(NoResultError):
        parse_result(output)


def test_cpu_is_of_all_processes_and_a_microsecond_is_a_millionth() -> None:
    one = Round(2_000_000, 4.0, {"classify": 3.0, "rank": 1.0}, {"classify": 300, "rank": 200})
    assert (one.rate, one.cpu_us, one.peak) == (500_000, 2.0, 500)


def test_a_ratio_is_taken_round_by_round_where_both_took_part() -> None:
    #  round    1    2     3    4
    #  ours   100  300     -  900
    #  theirs  50  100   100  100      -> 2, 3, 9
    found = ratio([at_rate(100), at_rate(300), None, at_rate(900)], [at_rate(50), at_rate(100), at_rate(100), at_rate(100)])
    assert found is not None
    assert found.rounds == pytest.approx((2, 3, 9))
    assert (found.median, found.low, found.high) == pytest.approx((3, 2, 9))


def test_without_a_round_that_both_took_part_in_there_is_no_ratio() -> None:
    assert ratio([at_rate(1), None], [None, at_rate(1)]) is None
    assert ratio([], [at_rate(1)]) is None


@given(st.lists(st.tuples(rounds, rounds), min_size=1, max_size=9))
def test_ratios_are_those_of_plain_arithmetic(pairs: list[tuple[Round, Round]]) -> None:
    found = ratio([ours for ours, _ in pairs], [theirs for _, theirs in pairs])
    expected = [(a.events / a.seconds) / (b.events / b.seconds) for a, b in pairs]
    assert found is not None
    assert found.median == pytest.approx(median(expected))
    assert (found.low, found.high) == pytest.approx((min(expected), max(expected)))


def test_the_wanted_ratios_are_of_those_who_took_part() -> None:
    taken = {"classify": [at_rate(400)], "two-classify": [at_rate(700)], "aiokafka": [at_rate(800)], "faust": [at_rate(10)]}
    found = {name: value.median for name, value in ratios(taken).items()}
    assert found == pytest.approx({"classify_vs_aiokafka": 0.5, "classify_vs_faust": 40})
    assert set(found) < set(WANTED)
