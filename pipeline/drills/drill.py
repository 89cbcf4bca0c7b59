"""What a drill is: a load, a fault, what must hold and within which bounds."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.drills.told import Verdict
from producers.scenarios.model import Scenario

if TYPE_CHECKING:
    from pipeline.drills.ground import Ground
    from pipeline.verify.verdict import Verdict as Recomputed

COPIES = {"client_double_send": 0.04, "producer_retry": 0.02}


@dataclass(frozen=True, slots=True)
class Load:
    """Events at a steady rate while the drill goes on. Its seed is the drill's."""

    rate: int = 1_500
    """Events a second."""
    seconds: int = 60
    minutes: float = 30.0
    """Of the scenario's clock, told in those seconds."""
    scenario: Mapping[str, Any] = field(default_factory=lambda: {"duplicates": COPIES, "lateness": {"late": 0.01}})
    """What is other than in an ordinary scenario."""
    until_over: bool = False
    """It is ended, as by Ctrl-C, when the script is over: `seconds` is then more than the script can take."""
    is_curved: bool = False
    """The rate follows the scenario's own load curve; `rate` is its mean."""

    def told(self, seed: int) -> Scenario:
        """The scenario. Raises pydantic's ValidationError where there is no such one."""
        size = {"events": self.rate * self.seconds, "minutes": self.minutes, "artists": 2_000, "users": 20_000}
        return Scenario.model_validate(size | {"name": "drill", "seed": seed} | dict(self.scenario))


@dataclass(frozen=True, slots=True)
class Drill:
    """One fault of the matrix. `script` makes the fault while the load runs, and returns when it is over."""

    number: int
    name: str
    title: str
    fault: str
    """What is done, in a sentence."""
    script: Callable[["Ground"], None]
    load: Load = Load()
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the run that differ from those of all drills (ground.py)."""
    silent: float = 15.0
    """Longest stretch without an outcome, seconds, while there is something to classify."""
    until_zero: float = 30.0
    """Seconds from the end of load and fault until no lag is left."""
    also: Callable[["Ground", "Recomputed"], list[Verdict]] | None = None
    """What the drill itself judges at the end, beside the oracles."""
    around: Callable[[Path], AbstractContextManager[tuple[dict[str, Any], Any]]] | None = None
    """What the run needs beside its processes, made in the drill's folder before them: the settings that follow, and what
    the script finds as `ground.around`."""
    breach: str = ""
    """For a negative control: the promise that all workers take back."""
    expects: str = ""
    """For a negative control: the oracle that must say no and a pattern of its sentence, as `O1: pattern`."""

    @property
    def bound(self) -> str:
        """The bounds in a sentence."""
        return (
            f"throughput never zero for more than {self.silent:.0f} s; no lag {self.until_zero:.0f} s after the load's end"
        )
