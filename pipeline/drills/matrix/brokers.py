"""Faults of the broker: killed, restarted in order, frozen."""

import signal

from pipeline.drills.drill import Drill, Load
from pipeline.drills.ground import Ground

FROZEN_SECONDS = (10.0, 60.0)


def restarted(ground: Ground) -> None:
    """kill -9 once, SIGTERM once; the supervisor has it back."""
    for number in (signal.SIGKILL, signal.SIGTERM):
        ground.loaded()
        before = ground.send("broker", number)
        ground.restarted("broker", before)
        ground.broker_back()
        ground.progressed()


def frozen(ground: Ground) -> None:
    """It stands still, with all connections open."""
    for seconds in FROZEN_SECONDS:
        ground.loaded()
        ground.send("broker", signal.SIGSTOP)
        ground.hold(seconds)
        ground.send("broker", signal.SIGCONT)
        ground.progressed()


DRILLS = (
    Drill(
        4,
        "broker-restart",
        "Broker killed, broker restarted",
        "kill -9 of the broker, then a clean restart",
        restarted,
        Load(seconds=60),
        silent=40,
    ),
    Drill(
        5,
        "broker-frozen",
        "Broker frozen",
        "SIGSTOP of the broker for 10 s, then for 60 s",
        frozen,
        Load(seconds=110),
        silent=90,
    ),
)
