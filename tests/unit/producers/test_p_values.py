"""The tests of distributions know their tables."""

import numpy as np
import pytest

from tests.unit.producers.p_values import (
    chi_square,
    chi_square_tail,
    kolmogorov_smirnov,
    kolmogorov_tail,
    share_of,
)


@pytest.mark.parametrize(
    ("freedom", "statistic", "p"),
    [
        (1, 3.841, 0.05), (1, 10.828, 0.001), (1, 0.016, 0.90), (2, 9.210, 0.01), (5, 1.145, 0.95), (10, 18.307, 0.05),
        (10, 29.588, 0.001), (30, 20.599, 0.90), (30, 59.703, 0.001), (100, 82.358, 0.90), (100, 124.342, 0.05),
        (100, 149.449, 0.001),
    ],
)  # fmt: skip
def test_chi_square_agrees_with_the_published_table(freedom: int, statistic: float, p: float) -> None:
    assert chi_square_tail(statistic, freedom) == pytest.approx(p, rel=0.01)


def test_chi_square_of_two_degrees_is_exponential_far_into_the_tail() -> None:
    for statistic in (0.5, 3.0, 20.0, 80.0, 400.0):
        assert chi_square_tail(statistic, 2) == pytest.approx(np.exp(-statistic / 2), rel=1e-9)


@pytest.mark.parametrize(
    ("statistic", "p"), [(1.0728, 0.2), (1.2238, 0.10), (1.3581, 0.05), (1.6276, 0.01), (1.9495, 0.001)]
)
def test_kolmogorov_agrees_with_the_published_table(statistic: float, p: float) -> None:
    assert kolmogorov_tail(statistic) == pytest.approx(p, rel=0.002)


def test_of_right_samples_one_in_ten_has_a_p_value_below_a_tenth() -> None:
    rng = np.random.default_rng(1)
    shares = np.array([0.24, 0.11, 0.14, 0.51])
    below = [
        (
            chi_square(rng.multinomial(2_000, shares), shares) < 0.1,
            share_of(rng.random(5_000) < 0.05, 0.05) < 0.1,
            kolmogorov_smirnov(rng.random(2_000), lambda x: x) < 0.1,
        )
        for _ in range(1_000)
    ]
    # 1,000 tries: standard deviation 0.0095.
    assert np.mean(below, axis=0) == pytest.approx([0.1, 0.1, 0.1], abs=0.035)
