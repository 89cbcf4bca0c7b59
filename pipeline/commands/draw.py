"""Curves in a terminal, by block characters."""

from collections.abc import Sequence
from itertools import pairwise

BLOCKS = " ▁▂▃▄▅▆▇█"
WIDTH = 66


def resampled(values: Sequence[float], width: int = WIDTH) -> list[float]:
    """The mean of the values behind each column; as many columns as values where these are fewer."""
    columns = min(width, len(values))
    bounds = [number * len(values) // columns for number in range(columns + 1)]
    return [sum(values[begin:past]) / (past - begin) for begin, past in pairwise(bounds)]


def chart(values: Sequence[float], rows: int = 8) -> list[str]:
    """A bar a value, from 0 to the largest: lines of text, the uppermost first."""
    eighths = [round(value / max(*values, 1e-9) * rows * 8) for value in values] if len(values) > 1 else [rows * 8]
    return ["".join(BLOCKS[min(max(height - row * 8, 0), 8)] for height in eighths) for row in reversed(range(rows))]


def sparkline(values: Sequence[float]) -> str:
    """The same in one line; what is more than 0 is seen."""
    most = max(values, default=0) or 1
    return "".join(BLOCKS[max(round(value / most * 8), int(value > 0))] for value in values)
