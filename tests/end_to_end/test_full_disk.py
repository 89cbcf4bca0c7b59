"""The store and the broker as processes on a small disk that fills up under them and is freed again."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from deploy.embedded.broker_files import broker_dir
from deploy.embedded.ports import free_ports
from deploy.embedded.programs import environment
from pipeline.admin import ensure_topics, wait_for_broker
from pipeline.drills.small_disk import SmallDisk, small_disk
from pipeline.errors import Exit
from pipeline.room import BROKER_NEEDS, STORE_FULL, STORE_KEEPS
from pipeline.settings import Settings, load
from pipeline.topics import topics_of
from tests.end_to_end.processes import SECONDS, wait_for
from tests.end_to_end.test_broker import produce, values
from tests.end_to_end.test_store import ROOT, committed, feed, said, store, until_sunk, varied, wait_until
from tests.end_to_end.test_store_trouble import feed_more, trouble, undisturbed, until_stored
from tests.small_disks import needs_mounts

pytestmark = needs_mounts
MIB = 1 << 20
MORE = 20


@pytest.fixture
def run(settings: Settings) -> Settings:
    run = varied(settings, partitions=2)
    ensure_topics(run)
    return run


@pytest.fixture
def disk(run: Settings) -> Iterator[SmallDisk]:
    with small_disk(run.store_dir, (STORE_KEEPS >> 20) + 64) as disk:
        yield disk


def test_with_little_room_the_store_waits_commits_nothing_says_why_and_goes_on(
    run: Settings, disk: SmallDisk, tmp_path: Path
) -> None:
    feed(run)
    with store(run) as process:
        until_sunk(run, process)
        before = committed(run, topics_of(run).plays.name)
        disk.fill((STORE_FULL + STORE_KEEPS) // 2)
        feed_more(run, range(MORE))
        wait_until(lambda: any("the disk under ClickHouse is full" in reason for reason in trouble(run)), process)
        assert committed(run, topics_of(run).plays.name) == before, "committed what isn't stored"
        disk.free()
        stored = until_stored(run, process)
    assert stored == undisturbed(run, tmp_path)


def test_on_a_full_disk_the_store_ends_commits_nothing_and_started_again_waits_for_room(
    run: Settings, disk: SmallDisk, tmp_path: Path
) -> None:
    feed(run)
    with store(run) as process:
        until_sunk(run, process)
        before = committed(run, topics_of(run).plays.name)
        disk.fill()
        feed_more(run, range(MORE))
        assert process.wait(SECONDS) == Exit.RESTART
        assert f"the disk under {disk.folder} is full" in said(process)
    assert committed(run, topics_of(run).plays.name) == before, "committed what the engine only said it wrote"
    with store(run) as process:
        wait_until(lambda: any(f"{disk.folder} is full" in reason for reason in trouble(run)), process)
        disk.free()
        stored = until_stored(run, process)
    assert stored == undisturbed(run, tmp_path)


def test_on_a_full_disk_a_store_with_nothing_to_insert_ends_too_for_its_merges(run: Settings, disk: SmallDisk) -> None:
    with store(run) as process:
        until_sunk(run, process)
        disk.fill(STORE_FULL - MIB)
        assert process.wait(SECONDS) == Exit.RESTART
        assert f"the disk under {disk.folder} is full" in said(process)


def test_the_broker_halts_on_a_full_disk_waits_for_room_when_started_again_and_keeps_what_it_acknowledged(
    tmp_path: Path,
) -> None:
    port, controller = free_ports(2)
    settings = load(data_dir=tmp_path / "data", kafka_port=port, kafka_controller_port=controller)
    folder, log = broker_dir(settings) / "data", tmp_path / "broker.log"

    def start() -> "subprocess.Popen[bytes]":
        with log.open("wb") as output:
            command = [sys.executable, "-m", "deploy.embedded.broker"]
            return subprocess.Popen(command, env=environment(settings), cwd=ROOT, stderr=output)

    with small_disk(folder, (BROKER_NEEDS >> 20) + 64) as disk:
        broker = start()
        try:
            wait_for_broker(settings, SECONDS)
            ensure_topics(settings)
            topic = topics_of(settings).plays.name
            produce(settings, topic, b"kept")
            disk.fill()
            unlucky = Producer({"bootstrap.servers": settings.bootstrap, "log_level": 0})
            unlucky.produce(topic, bytes(MIB // 2), partition=0)
            unlucky.poll(0)
            assert broker.wait(SECONDS) == 1
            unlucky.purge()
            broker = start()
            wait_for("the broker says why it waits", lambda: "the broker waits until 32 MiB are free" in log.read_text())
            assert broker.poll() is None
            disk.free()
            wait_for_broker(settings, SECONDS)
            assert values(settings, topic, 1) == [b"kept"]
            produce(settings, topic, b"more")
        finally:
            broker.terminate()
            broker.wait(SECONDS)
