"""How probable a sample as odd as this one is if a stated distribution holds: textbook tests, without scipy.

Seeds are fixed, so a test that passes today passes tomorrow. A p-value below REFUSED refuses the distribution: a right
generator meets that once in ten thousand seeds.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from producers.columns import Array

REFUSED = 1e-4
_LEAST_EXPECTED = 20


def chi_square(observed: ArrayLike, shares: ArrayLike) -> float:
    """p of counts against the shares that are stated for them (on any scale). Every expected count is at least 20."""
    counts = np.asarray(observed, np.float64)
    expected = np.asarray(shares) / np.sum(shares) * counts.sum()
    assert expected.min() >= _LEAST_EXPECTED, "too few for the approximation"
    return chi_square_tail(float(((counts - expected) ** 2 / expected).sum()), len(expected) - 1)


def share_of(hits: Array, share: float) -> float:
    """p of a sample of yes and no against the stated share of yes."""
    return chi_square(np.array([hits.sum(), (~hits).sum()]), np.array([share, 1 - share]))


def kolmogorov_smirnov(sample: Array, distribution: Callable[[Array], Array]) -> float:
    """p of a continuous sample against the stated distribution function."""
    stated, count = distribution(np.sort(sample)), len(sample)
    above, below = np.arange(1, count + 1) / count - stated, stated - np.arange(count) / count
    return kolmogorov_tail(math.sqrt(count) * float(max(above.max(), below.max())))


def chi_square_tail(statistic: float, freedom: int) -> float:
    """P(chi-square of so many degrees of freedom > statistic): the regularised incomplete gamma function Q(f/2, x/2)."""
    a, x = freedom / 2, statistic / 2
    if x <= 0:
        return 1.0
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:  # series of P
        term = total = 1 / a
        n = a
        while term > total * 1e-15:
            n += 1
            term *= x / n
            total += term
        return 1 - scale * total
    # Continued fraction of Q, by Lentz: 1/(x+1-a- 1(1-a)/(x+3-a- 2(2-a)/(x+5-a- …
    b = x + 1 - a
    c, d = math.inf, 1 / b
    fraction = d
    for n in range(1, 100_000):
        numerator, b = n * (a - n), b + 2
        c, d = b + numerator / c, 1 / (b + numerator * d)
        fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return scale * fraction


def kolmogorov_tail(statistic: float) -> float:
    """P(sqrt(n) times the largest distance > statistic), for large n: Kolmogorov's series."""
    if statistic < 0.2:
        return 1.0
    terms = ((-1) ** (k - 1) * math.exp(-2 * k * k * statistic * statistic) for k in range(1, 101))
    return min(1.0, 2 * sum(terms))
