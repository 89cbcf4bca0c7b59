"""A person resets a sink's offsets to the latest: what was skipped is stored all the same."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.store.positions import Committed
from tests.unit.machine import sinks
from tests.unit.machine.cluster import STAGES
from tests.unit.machine.oracles import ViolationError
from tests.unit.machine.process import simulated
from tests.unit.machine.run import KINDS, Run
from tests.unit.machine.sinks import Life
from tests.unit.machine.worlds import world

PLAY = ("play", 3, 0, 0, 1, 1, 0, 180_000)
ROUNDS, SUNK, RESET = 6, 1, 4


@pytest.fixture(autouse=True)
def _simulated() -> Iterator[None]:
    with simulated():
        yield


def run_with_a_reset() -> None:
    """All is sunk after the second round, offsets are set to the latest after the fifth, and judged in the end."""
    run = Run(world(Path(tempfile.mkdtemp()), near="off", shards=1))
    try:
        for stage in STAGES:
            run.start(stage)
            run.rebalance(stage, [0] * 4)
        for number in range(ROUNDS):
            for partition in (0, 1):
                run.append(partition, [PLAY] * 3, 0)
            run.tick_all(30)
            for _ in range(3):
                for stage in STAGES:
                    run.work(stage, 3)
                run.go_on()
            for kind in range(len(KINDS)):
                if number == SUNK:
                    run.sink(kind, Life(1_000))
                if number == RESET:
                    run.reset_sink(kind, 1.0)
        run.tick_all(60)
        run.finish()
        run.judge()
    finally:
        run.close()


def test_offsets_that_a_tool_set_to_the_latest_skip_nothing() -> None:
    run_with_a_reset()


def test_and_would_if_the_sink_believed_them(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = sinks.held

    def believing(store: object, kind: str, partition: int, at: Committed) -> bool:
        return ours(store, kind, partition, at if kind == "plays" else Committed(at.offset, str(at.offset)))

    monkeypatch.setattr(sinks, "held", believing)
    with pytest.raises(ViolationError, match=r"O4 positions: the sink of artist-counts is at .* isn't stored"):
        run_with_a_reset()
