"""A scenario at a speed keeps its gaps: what is due follows from the clock alone."""

import time

import numpy as np
import pytest

from producers.publish.pace import AtSpeed
from tests.unit.producers.worlds import START


def test_at_a_speed_a_record_is_due_when_the_scenarios_clock_has_reached_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pace = AtSpeed(60, START)
    leaves = START + np.array([0, 59_999, 60_000, 90_000])
    assert pace.due(leaves) == 1
    now[0] += 1  # a second is a minute
    assert pace.due(leaves) == 3
    assert pace.reached(START + 60_000)
    assert not pace.reached(START + 60_001)
    now[0] += 0.5
    assert pace.due(leaves) == 4
