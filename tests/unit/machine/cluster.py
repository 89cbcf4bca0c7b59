"""A whole pipeline in memory, one step at a time: every method is a step, and what makes no sense just now does nothing.

source ─► classify ─► plays ─► count ─► artist-counts ─► rank ─► top-artists; the logs ─► sinks ─► store
"""

import itertools
from typing import Any

from faust.types import TP

from pipeline.dedup.decide import forget
from pipeline.log.read import Record
from pipeline.settings import Settings
from pipeline.topics import topics_of
from tests.unit.machine.broker import BROKERS, AnswerLostError, Broker, Place
from tests.unit.machine.loop import Loop
from tests.unit.machine.oracles import Oracles, hold
from tests.unit.machine.process import Process
from tests.unit.machine.source import Source
from tests.unit.machine.truth import Truth

STAGES = ("classify", "rank")
_MOST = 3
"""Processes of a stage, at most."""
_ALL = 2_000
"""More side effects than there ever are at once."""
_numbers = itertools.count(1)


class Group:
    """The processes of a stage, who owns what, and what was committed."""

    def __init__(self, places: list[TP]) -> None:
        self.places, self.processes = places, list[Process]()
        self.owners: dict[TP, Process] = {}
        self.committed: dict[TP, int] = {}
        self.generation = 0

    @property
    def alive(self) -> list[Process]:
        return [process for process in self.processes if not process.dead]


class Cluster:
    """Close it. Raises ViolationError as soon as an oracle says no."""

    def __init__(self, settings: Settings) -> None:
        bootstrap = f"memory:{next(_numbers)}"
        self.settings = settings.model_copy(update={"kafka_bootstrap": bootstrap})
        self.topics = topics = topics_of(self.settings)
        self.truth = Truth(self.settings)
        self.oracles = Oracles(self.truth)
        self.broker = BROKERS[bootstrap] = Broker(topics.events.name, self._hear)
        self.source = Source(self.settings, self.broker, self.truth)
        partitions, shards = range(settings.partitions), range(settings.shards)
        plays = [TP(topics.plays.name, partition) for partition in partitions]
        counts = [TP(topics.counts.name, shard) for shard in shards]
        events = [TP(topics.events.name, partition) for partition in partitions]
        self.groups = {"classify": Group(events), "rank": Group([*plays, *counts])}
        self._wrong: list[BaseException] = []
        self._checked: dict[tuple[str, TP], int] = {}
        self._names = itertools.count(1)
        self._loop = Loop(self._wrong.append)

    def close(self) -> None:
        self._loop.close()
        del BROKERS[self.settings.bootstrap]

    # What happens inside of a process, until all wait for the broker.

    def settle(self) -> None:
        busy = self._loop.until_all_wait()
        hold("O6 liveness", not busy, f"the workers are busy with nothing for ever: {busy}")
        if self._wrong:
            raise self._wrong[0]
        for group in self.groups.values():
            for process in group.processes:
                if process.error and not isinstance(process.error, AnswerLostError):
                    hold("O6 liveness", False, f"{process.name} stood down: {type(process.error).__name__}: {process.error}")
        self._check_positions()

    def _hear(self, place: Place, record: Record) -> None:
        try:
            self.oracles.hear(place, record)
        except BaseException as error:
            self._wrong.append(error)

    def _check_positions(self) -> None:
        """Of every lane, also a zombie's: what it might commit."""
        topics, oracles = self.topics, self.oracles
        checks = {
            topics.events.name: oracles.committed_of_classify,
            topics.plays.name: oracles.committed_of_count,
            topics.counts.name: oracles.committed_of_rank,
        }
        for group in self.groups.values():
            for process in group.alive:
                for tp in group.places:
                    lane = process.lane(tp)
                    if lane and self._checked.get((process.name, tp)) != lane.next_offset:
                        self._checked[process.name, tp] = lane.next_offset
                        checks[tp.topic](tp.partition, lane.next_offset)

    # The steps.

    def append(self, partition: int, entries: list[tuple[Any, ...]], hole: int = 0) -> None:
        self.source.append(partition, entries, hole)

    def tick_all(self, advance: int) -> None:
        self.source.tick_all(advance)

    def start(self, stage: str) -> None:
        group = self.groups[stage]
        if len(group.alive) < _MOST:
            name = f"{stage} {next(self._names)}"
            group.processes = [*group.alive, Process(self._loop.loop, self.settings, stage, name)]
            self.settle()

    def kill(self, stage: str, number: int) -> None:
        if process := self._process(stage, number):
            process.end(None)
            self.settle()

    def rebalance(self, stage: str, picks: list[int], deaf: int | None = None) -> None:
        """Everything to those who hear of it; `deaf`: one that doesn't, and goes on with what it had."""
        group = self.groups[stage]
        zombie = None if deaf is None else self._process(stage, deaf)
        if zombie:
            zombie.deaf = True
        members = [process for process in group.alive if process is not zombie]
        if not members:
            return
        group.generation += 1
        group.owners = {tp: members[pick % len(members)] for tp, pick in zip(group.places, picks, strict=False)}
        for process in members:
            mine = {tp for tp, owner in group.owners.items() if owner is process}
            process.hears_of(group.generation, mine, group.committed)
        self.settle()

    def commit(self, stage: str, number: int) -> None:
        """The consumer's timer. The broker takes it of the current generation only."""
        group = self.groups[stage]
        process = self._process(stage, number)
        if process and not process.deaf:
            for tp in process.consumer.assigned:
                offset = process.consumer.new_offset(tp)
                if offset is not None:
                    group.committed[tp] = offset

    def reset(self, stage: str, place: int, offset: int) -> None:
        """Somebody resets a committed offset."""
        group = self.groups[stage]
        tp = group.places[place % len(group.places)]
        low, high = self.broker.bounds(*tp)
        group.committed[tp] = low + offset % (high - low + 1)

    def deliver(self, stage: str, number: int, place: int, count: int, skip: int = 0) -> None:
        """A fetch of one of its partitions arrives at a process, behind `skip` batches that were lost."""
        process = self._process(stage, number)
        if process and process.consumer.assigned:
            assigned = sorted(process.consumer.assigned)
            process.deliver(assigned[place % len(assigned)], count, skip)
            self.settle()

    def heal(self, stage: str, number: int) -> None:
        """The app's timer."""
        if process := self._process(stage, number):
            process.spawn(process.lanes.heal(lambda: process.consumer))
            self.settle()

    def advance(self, number: int) -> None:
        """One of the things that are under way at the broker comes to its next state."""
        if self.broker.pending:
            self.broker.pending[number % len(self.broker.pending)].advance(self.broker)
            self.settle()

    def lose(self, number: int) -> None:
        """An answer, or a record on its way, is lost."""
        if self.broker.pending:
            self.broker.pending[number % len(self.broker.pending)].lose(self.broker)
            self.settle()

    def go_on(self, most: int = _ALL) -> None:
        """So many things at the broker come to their next state, the oldest first."""
        for _ in range(most):
            if not self.broker.pending:
                return
            self.advance(0)
        hold("O6 liveness", most < _ALL, "the workers never come to rest")

    def work(self, stage: str, count: int, most: int = _ALL) -> None:
        """Everybody takes up to `count` batches of all that is theirs, and comes `most` side effects far with it."""
        group = self.groups[stage]
        for process in group.alive:
            for tp in sorted(process.consumer.assigned):
                if not process.dead:
                    process.deliver(tp, count, 0)
                    self.settle()
        self.go_on(most)

    def forget(self, number: int) -> None:
        """Housekeeping of classify's memories, at any time."""
        if process := self._process("classify", number):
            for tp in process.consumer.assigned:
                if lane := process.lane(tp):
                    forget(lane._memory, self.settings.rules)

    def _process(self, stage: str, number: int) -> Process | None:
        alive = self.groups[stage].alive
        return alive[number % len(alive)] if alive else None
