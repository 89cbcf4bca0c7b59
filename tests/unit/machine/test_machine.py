"""The pipeline stays exact whatever happens between any two of its side effects."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.unit.machine.process import simulated
from tests.unit.machine.rules import PipelineMachine


@pytest.fixture(scope="module", autouse=True)
def _simulated() -> Iterator[None]:
    with simulated():
        yield


@pytest.mark.timeout(900)
def test_nothing_is_lost_and_nothing_counts_twice_whatever_happens_between_any_two_side_effects() -> None:
    run_state_machine_as_test(
        PipelineMachine,
        settings=settings(max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)),
    )
