"""Curves of a drill, second by second, in the units of an SVG that stretches: the template draws them.

x and y of a path run from 0 to WIDTH and HEIGHT, whatever the size on paper; ticks and marks are in percent of the width.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.drills.told import Kind, Result, Sample

WIDTH, HEIGHT = 1000, 100
_TICKS = 6
_LETTER_PERCENT = 2.0
"""Of the width, on a phone; a label that would lie on another is left out, its line stays."""
TURN_PERCENT = 90
"""From here on, a label stands before its line."""

Values = list[float | None]


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    path: str
    """SVG path; a gap where a sample has none, a dot where a value stands alone."""
    peak: float | None
    """None where nobody ever answered."""
    style: int
    """Number of the colour and dash pattern."""


@dataclass(frozen=True, slots=True)
class Mark:
    percent: float
    kind: Kind
    label: str
    """Empty where there is no room for it."""


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    unit: str
    top: float
    """The value at the upper edge; the lower one is 0."""
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...]
    small: bool = False


def charts(result: Result) -> list[Chart]:
    """Throughput, lag and memory; none where there are no two samples to draw a line between."""
    samples = result.samples
    if len(samples) < 2:
        return []
    begin = min(0.0, samples[0].second)
    end = max(samples[-1].second, begin + 1, *(moment.second for moment in result.moments))
    seconds = [sample.second for sample in samples]
    processes = sorted({process for sample in samples for process in sample.memory_mb})

    def chart(title: str, unit: str, curves: dict[str, Values], small: bool = False) -> Chart:
        known = {name: [value for value in values if value is not None] for name, values in curves.items()}
        top = nice(max((max(values) for values in known.values() if values), default=0))
        lines = [
            Line(name, _path(seconds, values, begin, end, top), max(known[name], default=None), style)
            for style, (name, values) in enumerate(curves.items())
        ]
        return Chart(title, unit, top, tuple(lines), _marks(result, begin, end), _ticks(begin, end), small)

    return [
        chart(
            "Throughput",
            "events/s",
            {"applied": _rates(samples, lambda s: s.applied), "produced": _rates(samples, lambda s: s.produced)},
        ),
        chart(
            "Lag", "events", {"produced − applied": _lag(samples, "applied"), "produced − stored": _lag(samples, "stored")}
        ),
        chart("Memory", "MB", {name: [sample.memory_mb.get(name) for sample in samples] for name in processes}, small=True),
    ]


def _rates(samples: Sequence[Sample], of: Callable[[Sample], int | None]) -> Values:
    """What came in the time since the sample before, per second; None where either of the two does not know."""
    rates: Values = [None]
    for earlier, later in pairwise(samples):
        before, after, seconds = of(earlier), of(later), later.second - earlier.second
        rates.append(None if before is None or after is None or seconds <= 0 else max((after - before) / seconds, 0))
    return rates


def _lag(samples: Sequence[Sample], behind: str) -> Values:
    pairs = [(sample.produced, getattr(sample, behind)) for sample in samples]
    # The two are asked one after the other, so the one behind may have moved past the other: that is no lag.
    return [None if ahead is None or at is None else max(ahead - at, 0) for ahead, at in pairs]


def _path(seconds: Sequence[float], values: Values, begin: float, end: float, top: float) -> str:
    steps, joined = [], False
    for number, (second, value) in enumerate(zip(seconds, values, strict=True)):
        if value is None:
            joined = False
            continue
        x, y = (second - begin) / (end - begin) * WIDTH, HEIGHT - value / top * HEIGHT
        steps.append(f"{'L' if joined else 'M'}{x:.1f} {y:.1f}")
        alone = not joined and (number + 1 == len(values) or values[number + 1] is None)
        if alone:
            steps.append("h0")
        joined = True
    return "".join(steps)


def _marks(result: Result, begin: float, end: float) -> tuple[Mark, ...]:
    """Vertical lines: faults by their number, phases by their name, other things unnamed."""
    marks, number, past = [], 0, {"fault": -math.inf, "phase": -math.inf}
    for moment in sorted(result.moments, key=lambda moment: moment.second):
        percent, label = min(max((moment.second - begin) / (end - begin), 0), 1) * 100, ""
        if moment.kind == "fault":
            number += 1
        if moment.kind != "seen":
            text = str(number) if moment.kind == "fault" else (moment.what.split() or ["?"])[0][:12]
            room = _LETTER_PERCENT * len(text) + 0.5
            left = percent - room if percent > TURN_PERCENT and moment.kind == "phase" else percent
            if left >= past[moment.kind]:
                label, past[moment.kind] = text, left + room
        marks.append(Mark(percent, moment.kind, label))
    return tuple(marks)


def _ticks(begin: float, end: float) -> tuple[tuple[float, str], ...]:
    """Seconds at round places, in percent, with their text."""
    step = nice((end - begin) / _TICKS)
    first = math.ceil(begin / step)
    places = [number * step for number in range(first, int(end / step) + 1)]
    return tuple(((place - begin) / (end - begin) * 100, f"{place:g} s") for place in places)


def nice(value: float) -> float:
    """The smallest of 1, 2, 3, 5, 8, 10 times a power of ten that is no less; 1 for nothing."""
    if not 0 < value < math.inf:
        return 1
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 3, 5, 8, 10, 20) if factor * power >= value)
