"""Faults of ClickHouse: away, slow, answers lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.drills.drill import Drill, Load
from pipeline.drills.front_process import Front, front
from pipeline.drills.ground import Ground, require

AWAY_SECONDS, SLOW_SECONDS = 120.0, 30.0
SLOW_INSERT_SECONDS = 5.0
LOST_AT_ONCE, LOST_TIMES = 4, 6


@contextmanager
def behind_a_front(folder: Path) -> Iterator[tuple[dict[str, Any], Front]]:
    """ClickHouse as a server that can have faults."""
    with front(folder / "clickhouse") as made:
        yield {"clickhouse_dsn": made.dsn}, made


def server(ground: Ground) -> Front:
    assert isinstance(ground.around, Front)
    return ground.around


def away_then_slow(ground: Ground) -> None:
    """Its port is closed for two minutes, then each insert takes five seconds for half a minute."""
    ground.say("fault", f"ClickHouse is away for {AWAY_SECONDS:.0f} s")
    server(ground).faults(away=True)
    ground.hold(AWAY_SECONDS)
    server(ground).faults(away=False)
    ground.say("fault", f"ClickHouse is back, and each insert takes {SLOW_INSERT_SECONDS:.0f} s")
    server(ground).faults(slow_seconds=SLOW_INSERT_SECONDS)
    ground.hold(SLOW_SECONDS)
    ground.loaded()
    server(ground).faults(slow_seconds=0.0)
    ground.say("fault", "ClickHouse is as it was")


def answers_lost(ground: Ground) -> None:
    """Inserts are applied and their answers never come, again and again."""
    for _ in range(LOST_TIMES):
        ground.loaded()
        server(ground).faults(lose=LOST_AT_ONCE)
        ground.say("fault", f"the next {LOST_AT_ONCE} inserts are applied, their answers lost")
        ground.until("the answers are lost", lambda: server(ground).faults()["lose"] == 0)
        ground.progressed(2_000)
    counted = server(ground).faults()["counted"]
    ground.figures |= {"answers lost": counted["lost"], "inserts": counted["inserts"]}
    require(counted["lost"] >= LOST_AT_ONCE * LOST_TIMES, "answers were to be lost, and were not")


DRILLS = (
    Drill(
        6,
        "clickhouse-away",
        "ClickHouse away, then slow",
        f"ClickHouse away for {AWAY_SECONDS:.0f} s, then each insert takes {SLOW_INSERT_SECONDS:.0f} s for "
        f"{SLOW_SECONDS:.0f} s",
        away_then_slow,
        Load(rate=800, seconds=165, minutes=60.0),
        around=behind_a_front,
    ),
    Drill(
        7,
        "answers-lost",
        "Insert applied, answer lost",
        f"{LOST_AT_ONCE * LOST_TIMES} inserts are applied and their answers cut off",
        answers_lost,
        Load(seconds=45),
        around=behind_a_front,
    ),
)
