"""Runs beside the drill's own, on the same broker: damaged on purpose, and whoever reads them must refuse loudly."""

import re
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.drills.crash_points import STAGES, Stage
from pipeline.drills.drill import COPIES
from pipeline.drills.ground import DrillError, Ground
from pipeline.drills.oracles.watch import PositionsWatch
from pipeline.drills.told import Verdict
from pipeline.errors import Exit
from pipeline.settings import Settings
from pipeline.verify.verify import verify
from producers.produce import produce
from producers.scenarios.model import Scenario

EVENTS = 5_000
SECONDS = 60.0
TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""What a process says to a terminal alone."""


@dataclass(frozen=True, slots=True)
class Case:
    """How a process that met a damage ended, and what it said last."""

    damage: str
    stage: str
    holds: bool
    said: str


class Side:
    """A run beside the drill's, with events of its own."""

    def __init__(self, ground: Ground, name: str) -> None:
        self.ground, self.name = ground, name
        self.settings: Settings = ground.side(name)
        self.guests: dict[str, subprocess.Popen[bytes]] = {}
        self.publish(ground.seed)

    def publish(self, seed: int, *, realtime: bool = False) -> None:
        """Some events with copies. `realtime`: now, so that they can follow others."""
        size = {"events": EVENTS, "minutes": 15.0, "artists": 200, "users": 2_000}
        scenario = Scenario.model_validate(size | {"name": "side", "seed": seed, "duplicates": COPIES})
        if realtime:
            produce(self.settings, scenario, realtime=True, rate=float(EVENTS), wait=False)
        else:
            produce(self.settings, scenario)

    def start(self, *stages: Stage) -> None:
        for stage in stages:
            self.guests[stage] = self.ground.join(stage, stage, self.settings)

    def work(self, *stages: Stage) -> None:
        """Let these stages do all there is to do, then end them in order. Verified, where all are named."""
        self.start(*stages)
        watch = PositionsWatch(self.settings)
        try:

            def done() -> bool:
                watch.look()
                reached = watch.stored if "store" in stages else watch.applied
                return watch.produced is not None and reached == watch.produced

            self.ground.until(f"{self.name} is worked off", done, SECONDS)
        finally:
            watch.close()
        if set(stages) == set(STAGES) and not (found := verify(self.settings, timeout=SECONDS, show_progress=False)).exact:
            raise DrillError(f"run {self.name}: {found.sentence}")
        self.end(*stages)

    def end(self, *stages: Stage) -> None:
        """SIGTERM, and wait."""
        for stage in stages:
            self.guests[stage].send_signal(signal.SIGTERM)
        for stage in stages:
            try:
                self.guests[stage].wait(15)
            except subprocess.TimeoutExpired:
                self.guests[stage].kill()

    def exact_again(self, damage: str) -> Case:
        """Let all stages work; the run must be exact."""
        try:
            self.work(*STAGES)
        except DrillError as error:
            return Case(damage, "all", False, str(error))
        return Case(damage, "all", True, "made anew from the source, exact")

    def refused(self, damage: str, stage: Stage, pattern: str) -> Case:
        """Start the stage, unless it runs; it must end with exit 78 and a sentence that fits the pattern."""
        if stage not in self.guests or self.guests[stage].poll() is not None:
            self.start(stage)
        try:
            code: int | None = self.guests[stage].wait(SECONDS)
        except subprocess.TimeoutExpired:
            code = None
            self.guests[stage].kill()
        said = said_last(self.ground.log_of(self.settings, stage))
        holds = code == Exit.STAY_DOWN and re.search(pattern, said) is not None
        outcome = f"exit {int(code)}" if code is not None else f"still up after {SECONDS:.0f} s"
        self.ground.say("seen", f"{self.name}: {stage}: {outcome}")
        return Case(damage, stage, holds, f"{outcome}, {said[:300]}")


def said_last(log: str) -> str:
    """The last line that names an error, or the last one there is."""
    lines = [line.strip() for line in TERMINAL.sub("", log).splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["nothing"])[-1]


def loud(name: str, cases: Iterable[Case]) -> Verdict:
    """Every damage was refused, by a sentence that names it."""
    every = list(cases)
    wrong = [case for case in every if not case.holds]
    told = "; ".join(f"{case.damage}: {case.stage} {case.said}" for case in wrong or every)
    return Verdict(name, not wrong, told, {"refused": len(every) - len(wrong), "of": len(every)})
