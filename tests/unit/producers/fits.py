"""Whether a sample is of a stated distribution: two textbook statistics and their bounds, at one false alarm in 10,000.

Seeds are fixed, so a test that passes goes on to; the bound says how far off a wrong one would have to be.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

KS_BOUND = 2.225
"""Kolmogorov's distribution at 0.9999: sqrt(-ln(0.00005) / 2)."""


def kolmogorov_smirnov(sample: Any, distribution: Callable[[Any], Any]) -> float:
    """sqrt(n) times the largest distance between the sample's and the stated distribution function."""
    ordered = np.sort(np.asarray(sample, np.float64))
    count = len(ordered)
    stated = distribution(ordered)
    above, below = np.arange(1, count + 1) / count - stated, stated - np.arange(count) / count
    return float(np.sqrt(count) * max(above.max(), below.max()))


def chi_square_excess(observed: Sequence[int], shares: Sequence[float]) -> float:
    """Pearson's statistic of counts against shares, minus its bound (Wilson and Hilferty's approximation at 0.9999)."""
    counts, expected = np.array(observed, np.float64), np.array(shares) / sum(shares) * sum(observed)
    assert expected.min() >= 5, "too few for the approximation"
    freedom = len(counts) - 1
    bound = freedom * (1 - 2 / (9 * freedom) + 3.719 * np.sqrt(2 / (9 * freedom))) ** 3
    return float(((counts - expected) ** 2 / expected).sum() - bound)
