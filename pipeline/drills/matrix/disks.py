"""Disks that are full: under ClickHouse, then under the broker. Each is a small file system of its own that is filled."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.drills.drill import Drill, Load
from pipeline.drills.ground import SETTINGS, Ground, require
from pipeline.drills.small_disk import SmallDisk, small_disk
from pipeline.errors import ListeningError
from pipeline.store import ask

STORE_MB, BROKER_MB = 256, 512
FULL_SECONDS = 15.0
LEFT_BYTES = 200_000
"""Room that is left, below all that a process may count on."""


@dataclass(frozen=True, slots=True)
class Disks:
    store: SmallDisk
    broker: SmallDisk


@contextmanager
def small_disks(folder: Path) -> Iterator[tuple[dict[str, Any], Disks]]:
    """The engine's folder and the broker's log on file systems of their own, in memory."""
    with (
        small_disk(folder / "runs" / SETTINGS["run"] / "store", STORE_MB) as store,
        small_disk(folder / "broker" / "data", BROKER_MB) as broker,
    ):
        yield {}, Disks(store, broker)


def filled(ground: Ground) -> None:
    assert isinstance(ground.around, Disks)
    stored = ground.watch.positions.stored or 0
    ground.around.store.fill(LEFT_BYTES)
    ground.say("fault", f"the disk under ClickHouse is full ({STORE_MB} MB)")
    took = ground.until("the store says why it waits", lambda: "disk" in told(ground))
    ground.say("seen", f"after {took:.1f} s the store says: {told(ground)[:200]}")
    ground.hold(FULL_SECONDS)
    ground.around.store.free()
    ground.say("fault", "there is room again under ClickHouse")
    ground.until("the store goes on", lambda: (ground.watch.positions.stored or 0) > stored + 5_000)
    ground.loaded()
    before = ground.pid("broker")
    ground.around.broker.fill(LEFT_BYTES)
    ground.say("fault", f"the disk under the broker is full ({BROKER_MB} MB)")
    ground.restarted("broker", before)
    ground.hold(FULL_SECONDS)
    require(ground.around.broker.is_full, "the broker found room on its full disk")
    ground.around.broker.free()
    ground.say("fault", "there is room again under the broker")
    ground.broker_back()
    ground.progressed()


def told(ground: Ground) -> str:
    """What the store gives as its reasons for not being ready."""
    try:
        return "; ".join(ask.ready(ground.settings, seconds=2.0)["reasons"])
    except ListeningError:
        return ""


DRILLS = (
    Drill(
        16,
        "disk-full",
        "Disk full under ClickHouse, then under the broker",
        f"a small file system under ClickHouse, then one under the broker, is filled for {FULL_SECONDS:.0f} s and more",
        filled,
        Load(rate=1_000, seconds=100),
        silent=60,
        around=small_disks,
    ),
)
