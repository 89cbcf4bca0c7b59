"""Faults 1, 3, 6, 7, 9 and 12 in short, one after the other on one ground: what the test suite can afford."""

from signal import SIGCONT, SIGKILL, SIGSTOP

from pipeline.drills.crash_points import Point
from pipeline.drills.drill import Drill, Load
from pipeline.drills.ground import CLASSIFY, Ground
from pipeline.drills.matrix.clickhouse import behind_a_front, server

POINTS: tuple[Point, ...] = ("after append sent", "before ack", "during a dead-letter write")
ZOMBIE_SECONDS, AWAY_SECONDS, LOST = 8.0, 4.0, 3


def some_of_all(ground: Ground) -> None:
    for point in POINTS:
        with ground.trap("classify*", point, SIGKILL):
            pass
        ground.back(*CLASSIFY)
    zombie = ground.random.choice(CLASSIFY)
    ground.send(zombie, SIGSTOP)
    server(ground).faults(away=True)
    ground.say("fault", "ClickHouse is away")
    ground.hold(AWAY_SECONDS)
    server(ground).faults(away=False, lose=LOST)
    ground.say("fault", f"ClickHouse is back; the answers of its next {LOST} inserts are lost")
    ground.hold(ZOMBIE_SECONDS - AWAY_SECONDS)
    ground.send(zombie, SIGCONT)
    ground.progressed()


DRILLS = (
    Drill(
        0,
        "short",
        "Some of faults 1, 3, 6, 7, 9 and 12 in one",
        "kill -9 of classify at three points, a zombie, ClickHouse away, answers lost; three records in ten are copies, one "
        "in twenty is poison",
        some_of_all,
        Load(
            rate=800,
            seconds=600,
            minutes=300.0,
            until_over=True,
            scenario={
                "poison": 0.05,
                "lateness": {"late": 0.01},
                "duplicates": {"producer_retry": 0.15, "client_double_send": {"share": 0.15, "seconds": [1, 100]}},
            },
        ),
        silent=120,  # beside other tests: what is judged here is exactness
        until_zero=120,
        around=behind_a_front,
    ),
)
