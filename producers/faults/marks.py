"""Which of the plays a fault meets."""

import numpy as np

from producers.columns import Array, Columns, take


def times(count: int, marks: int, rng: np.random.Generator) -> Array:
    """int64[count] whose sum is `marks`: as even as it can be, and by chance who has one more. Of 0 there are no marks."""
    if not count:
        return np.zeros(0, np.int64)
    numbers = np.full(count, marks // count)
    numbers[rng.choice(count, marks % count, replace=False)] += 1
    return numbers


def some(plays: Columns, marks: int, rng: np.random.Generator) -> Columns:
    """So many of the plays, in their order; the same one twice only where there are fewer plays than that."""
    count = len(plays["true_sent_at"])
    return take(plays, np.repeat(np.arange(count), times(count, marks, rng)))
