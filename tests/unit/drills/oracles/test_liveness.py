"""O6 on drawn samples: one a second, (produced, applied, stored), None where the broker is away."""

import pytest

from pipeline.drills.oracles.liveness import caught_up, liveness, longest_silence
from pipeline.drills.told import Sample

Known = tuple[int, int, int] | None


def samples(*known: Known) -> tuple[Sample, ...]:
    return tuple(
        Sample(float(second), *(numbers or (None, None, None)), memory_mb={}) for second, numbers in enumerate(known)
    )


def loaded(seconds: int, away: range) -> tuple[Sample, ...]:
    """100 events a second, two seconds behind; classify and store stand still while `away`, then work at 300 a second."""
    found: list[Known] = []
    applied = 0

    def made(second: int) -> int:
        return 100 * min(max(second, 0), seconds - 20)  # then the load ends, and what is left is drained

    for second in range(seconds):
        if second not in away:
            applied = min(applied + 300, made(second - 2))
        found.append((made(second), applied, applied))
    return samples(*found)


def test_a_drill_that_catches_up_in_time_holds_and_says_how_long_it_took() -> None:
    # away 20 to 29, then 300 a second against 100: at second 32 it has what there was at 26
    verdict = liveness(loaded(80, range(20, 30)), recovered=30, until_zero=10, silent=11)
    assert verdict.holds, verdict
    assert verdict.figures["seconds_to_zero_lag"] == 2.0
    assert verdict.figures["longest_silence_seconds"] == 11.0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"until_zero": 1}, "lag was zero 2 s after the fault, 1 s are allowed"),
        ({"silent": 10}, "nothing was applied for 11 s from second 19 on, 10 s are allowed"),
        ({"restarts": ["classify"]}, "restarted by hand: classify"),
        ({"recovered": 500}, "nobody saw how it stood after the fault"),
    ],
)
def test_each_bound_is_held_to(changes: dict[str, object], reason: str) -> None:
    bounds: dict[str, object] = {"recovered": 30, "until_zero": 10, "silent": 11} | changes
    verdict = liveness(loaded(80, range(20, 30)), **bounds)  # type: ignore[arg-type]
    assert verdict.holds is False
    assert reason in verdict.sentence


def test_what_is_not_stored_at_the_end_is_lag_for_ever() -> None:
    verdict = liveness(samples((10, 10, 10), (20, 20, 19), (20, 20, 19)), recovered=0, until_zero=9, silent=9)
    assert (verdict.holds, verdict.sentence) == (False, "1 source offsets were not stored at the end")


def test_lag_that_comes_back_is_not_gone_yet() -> None:
    fine, behind = [(n * 10, n * 10, n * 10) for n in range(5)], [(n * 10, 40, 40) for n in range(5, 15)]
    assert caught_up(samples(*fine, *behind, (150, 150, 150)), 0) == 15.0
    assert caught_up(samples(*fine, *behind), 0) is None


def test_samples_without_an_answer_are_no_sign_of_having_caught_up_and_none_against_it() -> None:
    assert caught_up(samples((5, 5, 5), None, None, (9, 9, 9)), 1) == 3.0
    assert caught_up(samples((5, 5, 5), (6, 6, 6), None, (9, 9, 9)), 1) == 1.0


def test_rest_without_lag_is_no_silence() -> None:
    assert longest_silence(samples(*[(5, 5, 5)] * 50, (9, 9, 9)))[0] == 1.0


def test_a_broker_that_is_away_lets_nothing_pass() -> None:
    assert longest_silence(samples((5, 3, 3), (6, 4, 4), *[None] * 20, (9, 4, 4), (9, 9, 9))) == (22.0, 1.0)


def test_no_samples_are_no_proof() -> None:
    assert liveness((), recovered=0, until_zero=9, silent=9).holds is False
