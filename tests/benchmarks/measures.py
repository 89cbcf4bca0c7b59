"""The measurements beside the contest: each of a module of its own, told with its bar.

To add one: a module in this folder with a function `measure` of no required arguments that returns a `Measured`, and a line
in MEASURES. It brings what it needs, ends what it starts, and is run when the contest's broker is gone. Where a module gives
bare figures, a function here sets them against their bar.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, TypedDict


class Measured(TypedDict):
    """`figures`: names with numbers; `histogram`, if there is one, is [[label, number], …]. `bar`: what is wanted, and
    `verdict`: what came out, both for people; where the pipeline ran, with what `verify` said. `holds`: whether the bar is
    met."""

    figures: Mapping[str, Any]
    bar: str
    verdict: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Measure:
    """A measurement by name; `told` makes a `Measured` of its module."""

    name: str
    module: str
    told: Callable[[ModuleType], Measured] = lambda module: module.measure()

    def run(self) -> Measured:
        """Raises ModuleNotFoundError where there is no such module, and whatever the measurement does."""
        return self.told(import_module(f"tests.benchmarks.{self.module}"))


def _dedup(module: ModuleType) -> Measured:
    found = module.measured()
    bytes_an_id, share = found["bytes_an_id_at_10_m"], found["rate_with_10_m_over_100_k"]
    remembered, restored = found["remembered_per_second"], found["restored_per_second"]
    return {
        "figures": found,
        "bar": "10 M remembered ids: at most 48 bytes each, resident; deciding at least 80% as fast as with 100 k; a slot "
        "is dropped without a scan; restore at least 1 M ids/s",
        "verdict": f"{bytes_an_id:.1f} bytes an id; {share:.0%} as fast; a slot of 400,000 dropped in "
        f"{found['seconds_to_drop_a_slot_of_10_m'] * 1000:.2f} ms; {remembered:,} ids/s remembered, {restored:,}/s restored",
        "holds": bytes_an_id <= 48 and share >= 0.8 and restored >= 1_000_000,
    }


def _rank(module: ModuleType) -> Measured:
    figures = module.bench()
    slide, artists = figures["rank"]["slide_ms"], figures["rank"]["artists_in_window"]
    return {
        "figures": figures,
        "bar": "1 M distinct artists in the window: a new final top 100 in under 50 ms a slide",
        "verdict": f"{artists:,} artists: {slide['median']:.1f} ms CPU, at most {slide['max']:.1f} ms, lists as recomputed",
        "holds": slide["max"] < 50 and artists >= 1_000_000,
    }


MEASURES = (
    Measure("freshness", "freshness"),
    Measure("api", "bench_api"),
    Measure("dedup", "bench_dedup", _dedup),
    Measure("rank", "bench_rank", _rank),
    Measure("producer", "flow", lambda module: module.producer()),
    Measure("sink", "flow", lambda module: module.sink()),
)
