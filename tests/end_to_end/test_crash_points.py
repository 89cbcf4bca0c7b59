"""kill -9 at every named crash point of every stage, on a real broker: fault 1 in short form. The result is exact.

Each round has some processes end themselves at a point each, and starts them again. The load lies in
the log before the first round, and classify is slowed down, so that it lasts for all of them.
"""

import signal
import subprocess

from pipeline.drills.crash_points import POINTS, Point, Stage
from pipeline.drills.switches import arm, armed, fired, slow
from pipeline.drills.worker import command
from pipeline.settings import Settings
from producers.scenarios.parts import PoisonPart
from tests.end_to_end.processes import Processes, processes
from tests.end_to_end.test_pipeline import SMALL, classified, exact, published, slowed

LOAD = SMALL.model_copy(update={"events": 120_000, "poison": PoisonPart(share=0.03)})
CLASSIFIERS = ("classify", "classify-2", "classify-3")
STAGES: dict[str, Stage] = {**dict.fromkeys(CLASSIFIERS, "classify"), "rank": "rank", "store": "store"}
AT_FIRST = ("store", "rank", "classify", "classify-2")
SECONDS_A_FETCH = 0.4

ROUNDS: tuple[dict[str, Point], ...] = (
    {
        "store": "store after insert before commit",
        "rank": "rank before provisional sent",
        "classify": "after fetch",
        "classify-2": "after decide",
    },
    {"rank": "rank after announce", "classify": "after append sent", "classify-2": "after append acked"},
    {"store": "store after commit", "classify": "before ack", "classify-2": "after commit"},
    {
        "store": "store after commit of top-artists",
        "rank": "rank after final sent",
        "classify": "during a dead-letter write",
    },
)
"""One after the other, classify last: no row comes and no list is final while partitions are nobody's."""
WHILE_PARTITIONS_MOVE: dict[str, Point] = {"classify": "during revoke", "classify-2": "during restore"}


class Workers:
    """The drill's processes of a run, by name."""

    def __init__(self, run: Processes) -> None:
        self._run, self._up = run, dict[str, subprocess.Popen[bytes]]()

    def start(self, *names: str) -> None:
        """All at once, then wait until each is ready."""
        for name in names:
            self._up[name] = self._run.start(name, ready=False, command=command(STAGES[name], name))
        for name in names:
            self._run.wait_until_ready(name, self._up[name])

    def wait_until_ended_at(self, name: str, point: Point) -> None:
        process = self._up[name]
        assert self._run.ended(process) == -signal.SIGKILL, self._run.log(name)[-2000:]
        last = fired(self._run.settings, name)[-1]
        assert (last.point, last.pid) == (point, process.pid)


def test_a_process_killed_at_each_crash_point_comes_back_and_the_result_is_exact(settings: Settings) -> None:
    settings = slowed(settings)
    produced = published(settings, LOAD)
    for name in CLASSIFIERS:
        slow(settings, name, seconds=SECONDS_A_FETCH)
    with processes(settings) as run:
        workers = Workers(run)
        workers.start(*AT_FIRST)
        for points in ROUNDS:
            for name, point in points.items():
                arm(settings, name, point)
                workers.wait_until_ended_at(name, point)
            workers.start(*points)
        for name, point in WHILE_PARTITIONS_MOVE.items():
            arm(settings, name, point)
        workers.start("classify-3")
        for name, point in WHILE_PARTITIONS_MOVE.items():
            workers.wait_until_ended_at(name, point)
        assert classified(settings) < produced.published, "the load must outlast the kills"
        for name in CLASSIFIERS:
            slow(settings, name)
        workers.start(*WHILE_PARTITIONS_MOVE)
        assert armed(settings) == []
        assert sorted(entry.point for entry in fired(settings)) == sorted(POINTS)
        verdict = exact(settings)
        assert verdict.offsets == produced.published + verdict.ticks
