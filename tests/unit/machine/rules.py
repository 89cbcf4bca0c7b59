"""The machine: everything that can happen to a pipeline, in any order, with every oracle asked at every step."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.unit.machine.cluster import STAGES
from tests.unit.machine.run import KINDS, Run
from tests.unit.machine.sinks import BUSY, DIES_AFTER, DIES_BEFORE, DONE, UNANSWERED, Life
from tests.unit.machine.source import POISON
from tests.unit.machine.worlds import world

few = st.integers(0, 3)
stage = st.sampled_from(STAGES)
partition = st.integers(0, 1)
number = st.integers(0, 2)
place = st.integers(0, 3)
count = st.integers(1, 5)
play = st.tuples(
    st.just("play"),
    st.sampled_from([0, 0, 0, 1, 1, 3, 11]),  # seconds by which the clock goes on
    st.sampled_from([0, 0, 0, 0, 0, 1, 1, 3, 3, 9, 10, 11, 19, 21, 26, -4, -5]),  # and for how long it is over
    st.integers(0, 1),
    st.integers(1, 4),
    st.integers(1, 2),
    st.integers(0, 1),
    st.sampled_from([180_000] * 5 + [10_000]),
)
kinds = {
    "play": play,
    "copy": st.tuples(st.just("copy"), st.sampled_from([0, 1, 2, 3, 5, 8, 12, 20, 30])),
    "near": st.tuples(st.just("near"), st.integers(0, 5), st.sampled_from([-5, -4, 0, 3, 4, 5])),
    "tick": st.tuples(st.just("tick"), st.sampled_from([0, 2, 10])),
    "poison": st.tuples(st.just("poison"), st.integers(0, len(POISON) - 1)),
}
entry = st.sampled_from([*["play"] * 7, *["copy"] * 4, "near", "tick", "poison"]).flatmap(kinds.__getitem__)
entries = st.lists(entry, min_size=1, max_size=8)
fates = st.lists(st.sampled_from([DONE, DONE, DONE, BUSY, UNANSWERED, DIES_BEFORE, DIES_AFTER]), max_size=6)
kind = st.integers(0, len(KINDS) - 1)
picks = st.lists(number, min_size=4, max_size=4)
going = rule(entries=entries, advance=st.sampled_from([0, 0, 1, 2, 4, 11]), count=count)


class PipelineMachine(RuleBasedStateMachine):
    """Each rule is a step of `Run`. In the end everything is drained and judged as a whole."""

    run: Run
    failed = False
    replays = True

    @initialize(near=st.sampled_from(["off", "mark", "drop"]), append_time=st.booleans(), shards=st.integers(1, 2))
    def begin(self, near: str, append_time: bool, shards: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.run = Run(world(Path(self._folder.name), near=near, append_time=append_time, shards=shards))
        for name in STAGES:
            self._do(self.run.start, name)
            self._do(self.run.rebalance, name, [0] * 4)
        self._do(self.run.go_on)

    def _do(self, step: Callable[..., None], *details: Any) -> None:
        try:
            step(*details)
        except BaseException:
            self.failed = True
            raise

    # What goes on when nothing is wrong. Hypothesis picks among rules evenly, and faults must meet something that goes on.

    def _all_on(self, entries: list[Any], advance: int, count: int) -> None:
        for number in range(2):
            self._do(self.run.append, number, entries[number::2] or entries)
        if advance:
            self._do(self.run.tick_all, advance - 1)
        for name in STAGES:
            self._do(self.run.work, name, count)
            self._do(self.run.work, name, count)

    all_on = going(_all_on)
    all_on_2 = going(_all_on)
    all_on_3 = going(_all_on)
    all_on_4 = going(_all_on)
    all_on_5 = going(_all_on)

    @rule(partition=partition, entries=entries, hole=st.sampled_from([0, 0, 0, 1]))
    def append(self, partition: int, entries: list[Any], hole: int) -> None:
        self._do(self.run.append, partition, entries, hole)

    @rule(advance=st.sampled_from([0, 2, 5, 10, 30]))
    def tick_all(self, advance: int) -> None:
        self._do(self.run.tick_all, advance)

    @rule(stage=stage, count=count)
    def work(self, stage: str, count: int) -> None:
        self._do(self.run.work, stage, count)

    # Between two side effects.

    @rule(stage=stage, count=count, effects=st.integers(0, 6), entries=entries)
    def work_a_little(self, stage: str, count: int, effects: int, entries: list[Any]) -> None:
        self._do(self.run.append, effects % 2, entries)
        self._do(self.run.work, stage, count, effects)

    @rule(stage=stage, number=number, place=place, count=count, skip=st.sampled_from([0, 0, 1, 2]), heals=st.booleans())
    def deliver(self, stage: str, number: int, place: int, count: int, skip: int, heals: bool) -> None:
        self._do(self.run.deliver, stage, number, place, count, skip)
        if heals:
            self._do(self.run.heal, stage, number)

    @rule(number=st.integers(0, 7), lost=st.sampled_from([False, False, True]))
    def advance(self, number: int, lost: bool) -> None:
        self._do(self.run.lose if lost else self.run.advance, number)

    @rule(most=st.integers(1, 12))
    def go_on(self, most: int) -> None:
        self._do(self.run.go_on, most)

    # Processes that die, and such that should be dead.

    @rule(stage=stage, number=number, again=st.sampled_from([True, True, False]), most=st.sampled_from([0, 3, 50]))
    def kill(self, stage: str, number: int, again: bool, most: int) -> None:
        self._do(self.run.kill, stage, number)
        if again:
            self._do(self.run.start, stage)
            self._do(self.run.rebalance, stage, [2] * 4)
            self._do(self.run.go_on, most)

    @rule(
        stage=stage,
        number=number,
        picks=picks,
        effects=st.integers(0, 6),
        most=st.sampled_from([0, 3, 50]),
        entries=entries,
        count=count,
    )
    def zombie(
        self, stage: str, number: int, picks: list[int], effects: int, most: int, entries: list[Any], count: int
    ) -> None:
        """One is stopped in the middle of its work, doesn't hear that others have its partitions now, and goes on."""
        self._do(self.run.work, stage, 2, effects)
        self._do(self.run.start, stage)
        self._do(self.run.rebalance, stage, picks, number)
        self._do(self.run.go_on, most)
        self._all_on(entries, 1, count)

    @rule(stage=stage, picks=picks, joins=st.booleans(), most=st.sampled_from([0, 1, 50]))
    def rebalance(self, stage: str, picks: list[int], joins: bool, most: int) -> None:
        if joins:
            self._do(self.run.start, stage)
        self._do(self.run.rebalance, stage, picks)
        self._do(self.run.go_on, most)

    @rule(stage=stage, number=number, place=place, offset=st.one_of(st.none(), st.integers(0, 100)))
    def commit(self, stage: str, number: int, place: int, offset: int | None) -> None:
        """The timer's, or somebody resets the group."""
        self._do(self.run.commit, stage, number)
        if offset is not None:
            self._do(self.run.reset, stage, place, offset)

    @rule(number=number)
    def forget(self, number: int) -> None:
        self._do(self.run.forget, number)

    # The store.

    @rule(kind=kind, records=st.integers(1, 12), seconds=st.sampled_from([0.05, 0.3]), fates=fates)
    def sink(self, kind: int, records: int, seconds: float, fates: list[int]) -> None:
        self._do(self.run.sink, kind, Life(records, seconds, list(fates)))

    @rule(kind=kind, share=st.sampled_from([0.0, 0.5, 1.0]))
    def reset_sink(self, kind: int, share: float) -> None:
        """A person sets a sink's offsets to the earliest, the middle or the latest."""
        self._do(self.run.reset_sink, kind, share)

    @rule(kind=kind, back=st.one_of(st.none(), st.integers(0, 9)))
    def undo(self, kind: int, back: int | None) -> None:
        """An old commit comes back, or the database is lost."""
        if back is None:
            self._do(self.run.lose_store)
        else:
            self._do(self.run.rewind, kind, back)

    @rule(keep=st.sampled_from([0, 0, 7]), kinds=st.sampled_from([0, 1, 2, 2, 2, 2]))
    def trim(self, keep: int, kinds: int) -> None:
        """As the store does: it sinks, looks, and deletes what it found the time before."""
        for kind in range(kinds):
            self._do(self.run.sink, kind, Life(1_000))
        for _ in range(2):
            self._do(self.run.trim, keep)

    def teardown(self) -> None:
        if not hasattr(self, "run"):
            return
        try:
            if not self.failed:
                self.run.tick_all(60)
                self.run.finish()
                self.run.judge()
                if self.replays:
                    self.run.judge_replay(7)
        finally:
            self.run.close()
            self._folder.cleanup()
