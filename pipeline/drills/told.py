"""What a drill tells: what was done and seen, second by second, and what each oracle says. Plain data, for report.json."""

import re
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["phase", "fault", "seen"]


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened. `phase`: load, fault, recovery, drain, judge; `fault`: done by the drill; `seen`: what
    followed, such as a process that ended or one that the supervisor started again."""

    second: float
    """Since the load began."""
    kind: Kind
    what: str


@dataclass(frozen=True, slots=True)
class Sample:
    """How things stood, once a second. Numbers of source offsets are summed over the partitions; None where whoever knows
    did not answer."""

    second: float
    produced: int | None
    """Where playback-events ends."""
    applied: int | None
    """Up to where valid `plays` records reach."""
    stored: int | None
    """Up to where the store has committed what it took from `plays`."""
    memory_mb: dict[str, int]
    """Process → resident memory, of those that are up."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one oracle says. `holds` None: it does not apply to this drill, and the sentence says why."""

    oracle: str
    """Such as `O1 equality`."""
    holds: bool | None
    sentence: str
    """What was compared and how much of it; or the first differences."""
    figures: dict[str, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """A drill that ran. `breach`: for a negative control, which promise was taken back; it passes if the oracle that it
    expects says no."""

    number: int
    name: str
    title: str
    fault: str
    """What was done, as the matrix states it."""
    bound: str
    """What the drill allows: how long throughput may be zero, until when lag must be gone."""
    seed: int
    started: str
    """ISO 8601, UTC."""
    seconds: float
    moments: tuple[Moment, ...]
    samples: tuple[Sample, ...]
    verdicts: tuple[Verdict, ...]
    peak_mb: dict[str, int]
    """Process → highest resident memory (VmHWM), over all its lives."""
    figures: dict[str, int | float | str]
    breach: str = ""
    expects: str = ""
    """For a negative control: the oracle that must say no, and a pattern that its sentence must match, as `O1: pattern`."""
    error: str = ""
    """Why the drill could not be judged; empty where it was."""

    @property
    def passed(self) -> bool:
        """Every oracle that applies holds; for a negative control, the expected one does not."""
        if self.error:
            return False
        if self.expects:
            return is_found(self.verdicts, self.expects)
        return bool(self.verdicts) and all(verdict.holds is not False for verdict in self.verdicts)


def is_found(verdicts: tuple[Verdict, ...], expects: str) -> bool:
    """Whether the expected oracle says no, for the expected reason."""
    oracle, _, pattern = expects.partition(": ")
    return any(
        verdict.holds is False and verdict.oracle.startswith(oracle) and re.search(pattern, verdict.sentence)
        for verdict in verdicts
    )
