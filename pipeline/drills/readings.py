"""What a drill's samples and verdicts come to: the figures of the matrix, for page and terminal alike."""

import re
from collections.abc import Sequence
from typing import Literal

from pipeline.drills.told import Result, Verdict

OWN = "own"
Answer = Literal["holds", "no", "apart", "unasked"]


def longest_silence(result: Result) -> int | float | str | None:
    """For how many seconds nothing was applied, at most, as the liveness oracle states it; None where it does not."""
    return _stated(result, "longest_silence_seconds")


def until_zero_lag(result: Result) -> int | float | str | None:
    """How many seconds after the fault lag was zero, or `never`, as the same oracle states it; None where it does not."""
    return _stated(result, "seconds_to_zero_lag")


def _stated(result: Result, figure: str) -> int | float | str | None:
    # Not read off the samples here: the page would contradict whoever judged.
    return next((verdict.figures[figure] for verdict in result.verdicts if figure in verdict.figures), None)


def largest_process(result: Result) -> tuple[str, int] | None:
    """The process with the highest peak, and that peak in MB."""
    return max(result.peak_mb.items(), key=lambda peak: peak[1], default=None)


def code(oracle: str) -> str:
    """`O1` of `O1 equality`; OWN for what only one drill asks, such as `memory`."""
    found = re.match(r"O\d+\b", oracle)
    return found[0] if found else OWN


def oracles(results: Sequence[Result]) -> dict[str, str]:
    """Code → full name of every oracle that spoke, by number: O2 before O10; OWN last, if any drill has such."""
    every = sorted({verdict.oracle for result in results for verdict in result.verdicts}, key=len, reverse=True)
    names = {code(oracle): oracle for oracle in every}  # of several verdicts of one oracle, the shortest name
    numbered = sorted(names.keys() - {OWN}, key=lambda key: int(key[1:]))
    return {key: names[key] for key in numbered} | ({OWN: "the drill's own checks"} if OWN in names else {})


def verdicts_of(result: Result, key: str) -> list[Verdict]:
    return [verdict for verdict in result.verdicts if code(verdict.oracle) == key]


def answer(verdicts: Sequence[Verdict]) -> Answer:
    """One oracle's word on a drill: no if any of its verdicts is no; `apart`: it does not apply; `unasked`: it has none."""
    said = [verdict.holds for verdict in verdicts]
    return "unasked" if not said else "no" if False in said else "holds" if True in said else "apart"


def is_control(result: Result) -> bool:
    """Whether a promise was taken back, so that an oracle has to say no."""
    return bool(result.breach or result.expects)
