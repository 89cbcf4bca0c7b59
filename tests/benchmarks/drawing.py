"""The plot of a contest: a bar a contestant, fastest first, with the range of its rounds. One SVG without script."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.drills.curves import nice

WIDTH, NAMES, ROW, TOP = 860, 270, 34, 62
"""Pixels: of the whole, of the names on the left, of a row, and above the first."""
BARS = 380
"""Pixels of the longest bar."""
AGAINST = "kafka-streams"


@dataclass(frozen=True, slots=True)
class Bar:
    """One contestant; `y`, `length`, `low` and `high` in pixels, the latter three from where the bars begin."""

    label: str
    ours: bool
    y: int
    length: float
    low: float
    high: float
    text: str


def bars_of(document: Mapping[str, Any]) -> list[Bar]:
    """Of those that have a rate, the fastest first."""
    entries = {name: entry for name, entry in document["contestants"].items() if entry["events_per_second"]}
    full = scale(entries)
    found = []
    for name, entry in sorted(entries.items(), key=lambda item: -item[1]["events_per_second"]["median"]):
        rates = entry["events_per_second"]
        pixels = {key: value / full * BARS for key, value in rates.items()}
        times = _times(entry, entries.get(AGAINST)) if name != AGAINST else None
        text = f"{rates['median'] / 1000:,.0f} k/s" + (f"  ({times:.2g} × Kafka Streams)" if times else "")
        y = TOP + ROW * len(found)
        found.append(Bar(entry["label"], entry["ours"], y, pixels["median"], pixels["low"], pixels["high"], text))
    return found


def scale(entries: Mapping[str, Any]) -> float:
    """Events a second that the longest bar could stand for."""
    return nice(max((entry["events_per_second"]["high"] for entry in entries.values()), default=1))


def write_svg(document: Mapping[str, Any], path: Path) -> None:
    """Write the plot; none where nobody has a rate."""
    bars = bars_of(document)
    if not bars:
        return
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("latest.svg.j2")
    height = TOP + ROW * len(bars) + 30
    path.write_text(
        template.render(
            bars=bars, document=document, width=WIDTH, height=height, left=NAMES, row=ROW, machine=document["machine"]
        )
    )


def _times(entry: Mapping[str, Any], other: Mapping[str, Any] | None) -> float | None:
    """How many times as fast, round by round."""
    pairs = zip(entry["rounds"], other["rounds"] if other else (), strict=False)
    each = [one["events_per_second"] / two["events_per_second"] for one, two in pairs if one and two]
    return median(each) if each else None
