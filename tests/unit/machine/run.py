"""The cluster with its store: sinks, retention, and the end, when all is drained and judged as a whole."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import admin
from pipeline.errors import ListeningError
from pipeline.settings import Settings
from pipeline.store import retention
from pipeline.store.positions import Committed
from pipeline.store.readers import CountsReader, PlaysReader, TopsReader
from pipeline.store.records import Reader
from pipeline.store.sink import Progress
from pipeline.verify.compare import Comparison
from pipeline.verify.tables import COUNTS, DUPLICATES, PLAYS, TOPS
from tests.unit.machine.broker import memory_reader
from tests.unit.machine.cluster import STAGES, Cluster
from tests.unit.machine.oracles import hold
from tests.unit.machine.sinks import Life, live
from tests.unit.machine.store import MemoryStore
from tests.unit.machine.stored import check_commit

KINDS = ("plays", "artist-counts", "top-artists")
_ROUNDS = 200
"""Rounds after which everything must have come to its end."""


class Run(Cluster):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.store = MemoryStore()
        topics = self.topics
        self._sunk = dict(zip(KINDS, (topics.plays, topics.counts, topics.tops), strict=True))
        self.commits: dict[str, dict[int, Committed]] = {kind: {} for kind in KINDS}
        self._former: dict[str, list[tuple[int, Committed]]] = {kind: [] for kind in KINDS}
        self.progress = {kind: Progress(topic.name) for kind, topic in self._sunk.items()}
        keeping = self.settings.model_copy(update={"keep_seconds": 0})
        self._trimmer = retention.Trimmer(keeping, self.progress, SimpleNamespace())  # type: ignore[arg-type]

    def sink(self, kind: int, life: Life) -> None:
        """One life of a sink."""
        name = KINDS[kind]
        topic, rules = self._sunk[name], self.settings.rules.fingerprint
        readers: dict[str, Reader] = {
            "plays": PlaysReader(rules),
            "artist-counts": CountsReader(rules),
            "top-artists": TopsReader(),
        }

        def hear(partition: int, at: Committed) -> None:
            log = self.broker.records[topic.name, partition]
            self.progress[name].next[partition] = at.offset
            self._former[name].append((partition, at))
            check_commit(name, self.oracles, self.store, partition, at, log)

        try:
            live(self.settings, self.broker, self.store, name, topic, readers[name], self.commits[name], life, hear)
        except ListeningError as error:
            hold("O6 liveness", False, f"the sink of {name} stood down: {error}")

    def rewind(self, kind: int, back: int) -> None:
        """A commit of earlier comes back, of one partition."""
        name = KINDS[kind]
        if former := self._former[name]:
            partition, at = former[-1 - back % len(former)]
            if at.offset >= self.broker.bounds(self._sunk[name].name, partition)[0]:
                self.commits[name][partition] = at
                self.progress[name].next[partition] = at.offset

    def reset_sink(self, kind: int, share: float) -> None:
        """Committed offsets are set by a tool, which leaves no metadata; only while the logs hold all that can be stored."""
        name = KINDS[kind]
        if any(self.broker.lows.values()):
            return
        topic = self._sunk[name]
        for partition in range(topic.partitions):
            offset = int(self.broker.bounds(topic.name, partition)[1] * share)
            self.commits[name][partition] = Committed(offset, "")
            self.progress[name].next[partition] = 0

    def lose_store(self) -> None:
        """The database is gone, as long as the logs can fill another."""
        if not any(self.broker.lows.values()):
            self.store = MemoryStore()
            for progress in self.progress.values():
                progress.next.clear()
            for former in self._former.values():
                former.clear()

    def trim(self, keep_seconds: int) -> None:
        """The store's housekeeping: a look, and what was found the time before is deleted."""

        def delete(_settings: Settings, below: dict[tuple[str, int], int]) -> None:
            for place, offset in below.items():
                self.broker.cut(*place, offset)

        self._trimmer._keep_ms = keep_seconds * 1000
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(retention, "log_reader", memory_reader)
            patch.setattr(admin, "delete_records", delete)
            self._trimmer.trim()

    def finish(self, batches_at_once: int = 1_000) -> None:
        """Whoever is down is started again, zombies hear of their end, and nobody else helps."""
        self.go_on()
        for stage in STAGES:
            if not self.groups[stage].alive:
                self.start(stage)
            self.rebalance(stage, list(range(len(self.groups[stage].places))))
            self.go_on()
        for _ in range(_ROUNDS):
            for stage in STAGES:
                self.work(stage, batches_at_once)
            if not self._lag():
                break
            for stage in STAGES:
                for number in range(len(self.groups[stage].alive)):
                    self.heal(stage, number)
            self.go_on()
        hold("O6 liveness", not self._lag(), f"left in the end: {self._lag()}")
        for kind in range(len(KINDS)):
            self.sink(kind, Life(10_000))

    def _lag(self) -> dict[str, int]:
        """By partition: what its owner has not taken, and it isn't by a hole at the end."""
        left = {}
        for group in self.groups.values():
            for tp, owner in group.owners.items():
                lane = owner.lane(tp)
                at = lane.next_offset if lane else -1
                if at < self.broker.bounds(*tp)[1]:
                    left[f"{tp.topic} {tp.partition}"] = self.broker.bounds(*tp)[1] - at
        return left

    def judge(self) -> None:
        """All of it at once: the store against the recomputation, to the last row."""
        ends = [self.broker.ends[partition] for partition in range(self.settings.partitions)]
        comparison = Comparison(self.truth.whole(ends), self.store)
        for check in comparison.round(growing=False):
            oracle = "O3 conservation" if check.name in ("batches", "conservation") else "O1 equality"
            hold(oracle, check.exact, f"{check.name}: {'; '.join(check.differences)}")

    def tables(self) -> dict[str, Any]:
        """What a run leaves, however it came about."""
        found = {shape.name: self.store.rows(shape).to_pylist() for shape in (PLAYS, DUPLICATES, COUNTS, TOPS)}
        found[TOPS.name] = [row for row in found[TOPS.name] if row["final"]]
        return found

    def judge_replay(self, batches_at_once: int) -> None:
        """A second, fresh run over the same log leaves the same."""
        again = Run(self.settings)
        try:
            again.broker.batches, again.broker.ends = self.broker.batches, self.broker.ends
            for record in self.truth.records:
                again.truth.add(record)
            again.finish(batches_at_once)
            hold("O5 replay", again.tables() == self.tables(), "a fresh run over the same log leaves other tables")
        finally:
            again.close()
