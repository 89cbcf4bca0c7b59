"""What is kept of a run of the benchmark: plain values for latest.json."""

from collections.abc import Mapping
from statistics import median
from typing import Any

from tests.benchmarks.contest import CONTESTANTS, Outcome
from tests.benchmarks.measures import Measured
from tests.benchmarks.results import WANTED, Round, ratios

SCHEMA = 1
"""Raised where a key changes its meaning or goes away."""


def document(
    outcome: Outcome, measured: Mapping[str, Measured], machine: Mapping[str, object], *, events: int, rounds: int
) -> dict[str, Any]:
    """Rates in events a second, CPU in microseconds an event (whole lives of all processes), memory in MiB."""
    found = ratios(outcome.rounds)
    return {
        "schema": SCHEMA,
        "machine": dict(machine),
        "events": events,
        "rounds": rounds,
        "ratios": {name: round(value.median, 3) for name, value in found.items()},
        "spread": {
            name: {
                "low": round(value.low, 3),
                "high": round(value.high, 3),
                "rounds": [round(one, 3) for one in value.rounds],
            }
            for name, value in found.items()
        },
        "bars": {
            name: {"bar": wanted.bar, "holds": found[name].median >= wanted.bar}
            for name, wanted in WANTED.items()
            if name in found and wanted.bar is not None
        },
        "contestants": {
            contestant.name: {
                "label": contestant.label,
                "ours": contestant.ours,
                "events_per_second": _rates(outcome.rounds[contestant.name]),
                "rounds": [round_json(one) if one else None for one in outcome.rounds[contestant.name]],
                "verify": outcome.verdicts.get(contestant.name),
            }
            for contestant in CONTESTANTS
            if contestant.name in outcome.rounds
        },
        "skipped": outcome.skipped,
        "failed": outcome.failed,
        "measures": dict(measured),
    }


def round_json(one: Round) -> dict[str, Any]:
    return {
        "events": one.events,
        "seconds": round(one.seconds, 3),
        "events_per_second": round(one.rate),
        "cpu_us_per_event": round(one.cpu_us, 2),
        "cpu_seconds": dict(one.cpu),
        "peak_mb": dict(one.peak_mb),
    } | ({"said": list(one.said)} if one.said else {})


def _rates(rounds: list[Round | None]) -> dict[str, int] | None:
    rates = [one.rate for one in rounds if one]
    if not rates:
        return None
    return {"median": round(median(rates)), "low": round(min(rates)), "high": round(max(rates))}
