"""The live watch of positions through a broker that is stopped, killed and started again."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from deploy.embedded.broker import prepare
from deploy.embedded.ports import free_ports
from deploy.embedded.sessions import die_with_parent
from pipeline.admin import ensure_topics, wait_for_broker
from pipeline.drills.oracles.watch import PositionsWatch
from pipeline.settings import Settings, load
from pipeline.topics import group_of, topics_of
from tests.end_to_end.processes import SECONDS, freeze, wait_for
from tests.unit.drills.oracles.raws import plays

STOPPED_LOOKS = 3
"""At a stopped broker, each of which ends although nobody answers."""


NOT_YET = {
    KafkaError._WAIT_COORD,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}


class Broker:
    """A broker of the test's own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._start()

    def _start(self) -> None:
        command = prepare(self.settings)
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdout=quiet, stderr=quiet, preexec_fn=die_with_parent())
        wait_for_broker(self.settings, SECONDS)

    def kill(self) -> None:
        self.process.kill()  # nothing where it is gone already
        self.process.wait(SECONDS)

    def restart(self) -> None:
        self.kill()
        self._start()


@pytest.fixture
def broker_of_its_own(tmp_path: Path) -> Iterator[Broker]:
    port, controller = free_ports(2)
    broker = Broker(
        load(
            run="watched", data_dir=tmp_path, kafka_port=port, kafka_controller_port=controller, store_port=free_ports(1)[0]
        )
    )
    try:
        yield broker
    finally:
        broker.kill()


class Writer:
    """Writes what classify and the sink would: 10 source offsets at a time, of partition 0."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._topics, self._at = settings, topics_of(settings), 0

    def write(self) -> int:
        """Source, outcomes, and commits of both; the next source offset."""
        producer = Producer({"bootstrap.servers": self._settings.bootstrap, "enable.idempotence": True})
        for number in range(10):
            producer.produce(self._topics.events.name, value=b"%d" % number, partition=0)
        raw = plays(self._at, 10 * self._at, "a" * 10)
        producer.produce(self._topics.plays.name, value=raw.value, headers=list(raw.headers.items()), partition=0)
        assert producer.flush(SECONDS) == 0
        self._at += 1
        self.commit("classify", TopicPartition(self._topics.events.name, 0, 10 * self._at))
        self.commit("sink", TopicPartition(self._topics.plays.name, 0, self._at, str(10 * self._at)))
        return 10 * self._at

    def commit(self, stage: str, place: TopicPartition) -> None:
        consumer = Consumer({"bootstrap.servers": self._settings.bootstrap, "group.id": group_of(self._settings, stage)})

        def done() -> bool:  # a broker that has just started may not be the group's coordinator yet
            try:
                consumer.commit(offsets=[place], asynchronous=False)
            except KafkaException as error:
                if error.args[0].code() not in NOT_YET:
                    raise
                return False
            return True

        wait_for("committed", done)
        consumer.close()


def test_a_watch_sees_nothing_while_the_broker_is_away_and_everything_afterwards(broker_of_its_own: Broker) -> None:
    broker, settings = broker_of_its_own, broker_of_its_own.settings
    watch = PositionsWatch(settings)

    def look() -> tuple[int | None, int | None, int | None]:
        watch.look()
        return watch.produced, watch.applied, watch.stored

    def sees(*numbers: int | None) -> Callable[[], bool]:
        return lambda: look() == numbers

    try:
        look()
        ensure_topics(settings)
        writer = Writer(settings)
        assert [writer.write() for _ in range(3)] == [10, 20, 30]
        wait_for("the first records", sees(30, 30, 30))
        freeze(broker.process)
        for _ in range(STOPPED_LOOKS):
            assert look() == (None, None, None)
        os.kill(broker.process.pid, signal.SIGCONT)
        wait_for("the broker that goes on", sees(30, 30, 30))
        writer.write()
        wait_for("what came after the stop", sees(40, 40, 40))
        broker.kill()
        assert look() == (None, None, None)
        broker.restart()
        writer.write()
        wait_for("what came after the kill", sees(50, 50, 50))

        def commits() -> tuple[int | float | str, ...]:
            figures = watch.verdict().figures
            return figures["classify_commits"], figures["sink_commits"]

        wait_for("all commits", lambda: commits() == (5, 5))  # the two groups' lie in partitions of their own
        seen = watch.verdict()
        assert seen.holds, seen
        assert commits() == (5, 5)
        assert seen.figures["unjudged"] == 5  # there is no store to hold the sink to
        writer.commit("classify", TopicPartition(topics_of(settings).events.name, 0, 51))
        wait_for("a commit that is ahead", lambda: watch.verdict().holds is False)
        assert "classify committed 51 in partition 0, plays was applied up to 50" in watch.verdict().sentence
    finally:
        watch.close()
