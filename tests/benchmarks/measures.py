"""The measurements beside the contest: each a function of a module of its own, which answers what it found.

To add one: a module in this folder with a function of no required arguments that returns a `Measured`, and a line here.
It brings what it needs, ends what it starts, and is run when the contest's broker is gone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TypedDict


class Measured(TypedDict):
    """`figures`: names with numbers; `histogram`, if there is one, is [[label, number], …]. `bar`: what is wanted, and
    `verdict`: what came out, both for people; where the pipeline ran, with what `verify` said. `holds`: whether the bar is
    met."""

    figures: dict[str, object]
    bar: str
    verdict: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Measure:
    """A measurement by name, and where its function is."""

    name: str
    module: str
    function: str = "measure"

    def load(self) -> Callable[[], Measured]:
        """Raises ImportError or AttributeError where there is none (yet)."""
        found: Callable[[], Measured] = getattr(import_module(f"tests.benchmarks.{self.module}"), self.function)
        return found


MEASURES = (
    Measure("freshness", "freshness"),
    Measure("dedup", "bench_dedup"),
    Measure("rank", "bench_rank"),
    Measure("producer", "bench_producer"),
    Measure("sink", "bench_sink"),
)
