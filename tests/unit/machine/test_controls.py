"""Negative controls: each promise taken back, the machine must find what follows from it, and name the right oracle."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test

from pipeline.codec.headers import HeaderError, PlaysHeaders
from pipeline.dedup import decide
from pipeline.log.batch import PlaysRecord
from pipeline.store.positions import Committed
from pipeline.store.sink import Sink
from pipeline.workers.classify import ClassifyLane
from tests.unit.machine.oracles import ViolationError
from tests.unit.machine.process import simulated
from tests.unit.machine.rules import PipelineMachine

Break = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(scope="module", autouse=True)
def _simulated() -> Iterator[None]:
    with simulated():
        yield


class Control(PipelineMachine):
    replays = False


def no_dedup(patch: pytest.MonkeyPatch) -> None:
    def none_seen(_seen: Any, events: decide.Events, *_rest: Any) -> Any:
        return np.zeros(len(events.offset), np.bool_), events.offset.copy()

    patch.setattr(decide, "_sightings", none_seen)


def position_before_the_append(patch: pytest.MonkeyPatch) -> None:
    append = ClassifyLane._append

    async def early(lane: ClassifyLane, record: PlaysRecord) -> None:
        lane._durable = record.last + 1
        await append(lane, record)

    patch.setattr(ClassifyLane, "_append", early)


def at_is_ignored(patch: pytest.MonkeyPatch) -> None:
    def wherever(_offset: int, headers: Any) -> PlaysHeaders | None:
        try:
            return PlaysHeaders.decode(headers)
        except HeaderError:
            return None

    patch.setattr(PlaysHeaders, "valid_at", wherever)


def commit_before_the_insert(patch: pytest.MonkeyPatch) -> None:
    flush = Sink._flush

    def early(sink: Sink, consumer: Any, pending: Any) -> None:
        positions: Mapping[int, int] = pending.positions
        consumer.commit({at: Committed(offset, sink._reader.metadata(at, offset)) for at, offset in positions.items()})
        flush(sink, consumer, pending)

    patch.setattr(Sink, "_flush", early)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (no_dedup, r"O1 equality: plays .*'duplicate': 0.*expected .*'duplicate': [1-9]"),
        (position_before_the_append, r"O4 positions: classify is at \d@\d+ before it is applied"),
        (at_is_ignored, r"O6 liveness: .*(?:was to follow: the log was damaged|records were lost or added)"),
        (commit_before_the_insert, r"O4 positions: the sink of [a-z-]+ is at .* (?:isn't|aren't) stored"),
    ],
)
def test_a_promise_taken_back_is_found_by_the_oracle_that_speaks_of_it(broken: Break, reason: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        broken(patch)
        with pytest.raises(ViolationError) as found:
            run_state_machine_as_test(
                Control,
                settings=settings(
                    max_examples=200,
                    stateful_step_count=50,
                    deadline=None,
                    derandomize=True,
                    database=None,
                    phases=[Phase.generate],
                    report_multiple_bugs=False,
                    print_blob=False,
                    verbosity=Verbosity.quiet,
                    suppress_health_check=list(HealthCheck),
                ),
            )
    assert re.search(reason, str(found.value)), found.value
