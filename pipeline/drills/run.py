"""One drill: steady load ─► fault ─► recovery ─► drain ─► judge."""

import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pipeline.drills.drill import Drill
from pipeline.drills.ground import PROGRESS, DrillError, Ground, grounded
from pipeline.drills.judge import judge
from pipeline.drills.load import finished, loading
from pipeline.drills.told import Result, Verdict
from pipeline.errors import ListeningError

TRACEBACK = "traceback.txt"
DRAIN_SECONDS = 20.0
"""How much longer than the drill allows is waited for the lag to be gone, so that the report shows by how much."""


def run_drill(drill: Drill, seed: int, folder: Path, progress: Callable[[str], None]) -> Result:
    """Run and judge it on a ground of its own in `folder`, which is emptied first. Never raises for what a drill finds."""
    started, began = datetime.now(UTC), time.monotonic()
    ground, error, verdicts = None, "", list[Verdict]()
    try:
        with grounded(drill, seed, folder, progress) as ground:
            verdicts = _drilled(drill, ground, progress)
    except ListeningError as failure:
        error = str(failure)
    except Exception as failure:  # a mistake of the drill's own: it failed, and those after it are run
        error = f"the drill itself failed, see {folder / TRACEBACK}: {failure!r}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / TRACEBACK).write_text(traceback.format_exc())
    return Result(
        number=drill.number,
        name=drill.name,
        title=drill.title,
        fault=drill.fault,
        bound=drill.bound,
        seed=seed,
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - began, 1),
        moments=tuple(ground.moments) if ground else (),
        samples=tuple(ground.watch.samples) if ground else (),
        verdicts=tuple(verdicts),
        peak_mb=dict(ground.watch.peak_mb) if ground else {},
        figures=dict(ground.figures) if ground else {},
        breach=drill.breach,
        expects=drill.expects,
        error=error,
    )


def _drilled(drill: Drill, ground: Ground, progress: Callable[[str], None]) -> list[Verdict]:
    def phase(what: str) -> None:
        ground.say("phase", what)
        progress(what)

    ground.begin()
    ground.watch.start()
    phase("load")
    with loading(ground, drill.load):
        ground.until("the first outcomes", lambda: ground.applied() >= PROGRESS)
        phase("fault")
        drill.script(ground)
        phase("recovery")
        finished(ground, drill.load)
    recovered = ground.second()
    phase("drain")
    _drain(ground, drill.until_zero + DRAIN_SECONDS)
    phase("judge")
    return judge(drill, ground, recovered, progress)


def _drain(ground: Ground, seconds: float) -> None:
    seen = ground.watch.positions

    def drained() -> bool:
        return seen.produced is not None and seen.produced == seen.applied == seen.stored

    try:
        ground.until("all lag is gone", drained, seconds)
        seen_so_far = len(ground.watch.samples)
        ground.until("a sample shows it", lambda: len(ground.watch.samples) > seen_so_far)
    except DrillError as error:
        ground.say("seen", str(error))
