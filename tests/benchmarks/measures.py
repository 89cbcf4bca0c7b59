"""The measurements beside the contest: each of a module of its own, told with its bar.

To add one: a module in this folder with a function `measure` of no required arguments that returns a `Measured`, and a line
in MEASURES. It brings what it needs, ends what it starts, and is run when the contest's broker is gone. Where a module gives
bare figures, a function here sets them against their bar.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
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


def _producer(module: ModuleType) -> Measured:
    from tests.benchmarks.rig import bench_settings, broker

    with tempfile.TemporaryDirectory(prefix="listening-bench-", ignore_cleanup_errors=True) as scratch:
        settings = bench_settings(Path(scratch), "producer", append_time=True)
        with broker(settings):
            found, encoding = module.producer_rate(settings), module.encoding_rate()
    bytes_are = "the same bytes" if encoding["equal"] else "OTHER bytes"
    return {
        "figures": {**found, "encoding": encoding},
        "bar": "a producer process, generation, Avro and duplicates included: at least 110,000 events/s",
        "verdict": f"{found['events_per_second']:,} events/s, {found['cpu_us']:.2f} µs CPU an event; Avro by columns "
        f"{encoding['columns_us']:.2f} µs, by fastavro {encoding['fastavro_us']:.2f} µs, {bytes_are}",
        "holds": found["events_per_second"] >= 110_000 and encoding["equal"] and found["acknowledged"] == found["events"],
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
    Measure("dedup", "bench_dedup"),
    Measure("rank", "bench_rank", _rank),
    Measure("producer", "bench_producer", _producer),
    Measure("sink", "bench_sink"),
)
