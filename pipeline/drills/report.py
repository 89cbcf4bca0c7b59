"""The drills' report: report.json holds everything, report.html is one file to read, without script or network."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.drills import readings
from pipeline.drills.curves import HEIGHT, TURN_PERCENT, WIDTH, Chart, charts
from pipeline.drills.told import Moment, Result

SCHEMA = 1
"""Of report.json: raised where a key changes its meaning or goes away."""


@dataclass(frozen=True, slots=True)
class Section:
    """A result with what the page needs to show it."""

    anchor: str
    result: Result
    charts: list[Chart]
    silence: int | float | str | None
    zero_lag: int | float | str | None
    largest: tuple[str, int] | None
    timeline: list[tuple[str, Moment]]
    """Moments in order; faults with the number that they have in the charts."""
    words: dict[str, readings.Answer]
    """Oracle's code → what it says, of all oracles in the report."""
    reasons: dict[str, str]
    """Oracle's code → its sentences."""


def write_report(results: Sequence[Result], folder: Path, *, seed: int, machine: str) -> tuple[Path, Path]:
    """Writes report.json and report.html into the folder, which is made; answers their paths. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    as_json, as_html = folder / "report.json", folder / "report.html"
    document = report_json(results, seed=seed, machine=machine)
    as_json.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    # A name from the file system may hold what is no text: it must not cost the report.
    as_html.write_text(_html(results, document), encoding="utf-8", errors="backslashreplace")
    return as_json, as_html


def report_json(results: Sequence[Result], *, seed: int, machine: str) -> dict[str, Any]:
    """All results with what they come to: plain types only."""
    drills = [result for result in results if not readings.is_control(result)]
    controls = [result for result in results if readings.is_control(result)]
    return {
        "schema": SCHEMA,
        "passed": bool(results) and all(result.passed for result in results),
        "seed": seed,
        "machine": machine,
        "started": min((result.started for result in results), default=""),
        "seconds": _plain(sum(result.seconds for result in results)),
        "drills": {"passed": sum(result.passed for result in drills), "of": len(drills)},
        "controls": {"found": sum(result.passed for result in controls), "of": len(controls)},
        "oracles": readings.oracles(results),
        "results": [result_json(result) for result in results],
    }


def result_json(result: Result) -> dict[str, Any]:
    """One result with its verdict and the figures of the matrix: plain types, None for a number that is none."""
    told: dict[str, Any] = _plain(asdict(result))
    return told | {
        "passed": result.passed,
        "control": readings.is_control(result),
        "longest_silence_seconds": _plain(readings.longest_silence(result)),
        "seconds_to_zero_lag": _plain(readings.until_zero_lag(result)),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int) else str(value)


def _html(results: Sequence[Result], document: dict[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # sentences hold what lay in the log
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, duration=duration)
    sections = list(_sections(results))
    return environment.get_template("report.html.j2").render(
        report=document,
        oracles=document["oracles"],
        drills=[section for section in sections if not readings.is_control(section.result)],
        controls=[section for section in sections if readings.is_control(section.result)],
        failed=[section for section in sections if not section.result.passed],
        width=WIDTH,
        height=HEIGHT,
        turn=TURN_PERCENT,
    )


def _sections(results: Sequence[Result]) -> Iterator[Section]:
    taken: set[str] = {"top", "matrix", "controls"}
    keys = readings.oracles(results)
    for result in results:
        slug = re.sub(r"[^a-z0-9]+", "-", f"{result.number} {result.name}".lower()).strip("-")
        anchor = next(name for name in (slug, *(f"{slug}-{n}" for n in range(2, len(results) + 5))) if name not in taken)
        taken.add(anchor)
        said = {key: readings.verdicts_of(result, key) for key in keys}
        count, timeline = 0, []
        for moment in sorted(result.moments, key=lambda moment: moment.second):
            count += moment.kind == "fault"
            timeline.append((str(count) if moment.kind == "fault" else "", moment))
        yield Section(
            anchor,
            result,
            charts(result),
            readings.longest_silence(result),
            readings.until_zero_lag(result),
            readings.largest_process(result),
            timeline,
            {key: readings.answer(verdicts) for key, verdicts in said.items()},
            {key: " ".join(verdict.sentence for verdict in verdicts) for key, verdicts in said.items()},
        )


def number(value: object) -> str:
    """With thousands apart, and no more decimals than say something."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "–"
    return (
        f"{value:,.0f}"
        if value == int(value) or abs(value) >= 1000
        else f"{value:,.1f}"
        if abs(value) >= 1
        else f"{value:.2g}"
    )


def duration(seconds: float) -> str:
    """`48 s`, `3 min 20 s`, `1 h 2 min`."""
    if not math.isfinite(seconds):
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
