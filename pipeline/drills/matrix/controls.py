"""Negative controls: a promise is taken back in every worker, and the oracle that speaks of it must say no."""

import signal

from pipeline.drills.drill import COPIES, Drill, Load
from pipeline.drills.ground import Ground
from pipeline.drills.matrix.events import nothing
from pipeline.drills.switches import fired

ENDS, ZOMBIE_SECONDS = 3, 12.0


def zombie_meets_writer(ground: Ground) -> None:
    """A worker is stopped with a record in its hands, and sends it when others have written at its place."""
    with ground.trap("classify*", "after decide", signal.SIGSTOP):
        pass
    ground.hold(ZOMBIE_SECONDS)
    ground.send(fired(ground.settings)[-1].name, signal.SIGCONT)
    ground.hold(3.0)


def ends_after_commit(ground: Ground) -> None:
    """The store ends where it has just committed, again and again."""
    for _ in range(ENDS):
        before = {"store": ground.pid("store")}
        with ground.trap("store", "store after commit of top-artists"):
            pass
        ground.back("store", than=before)
        ground.progressed(2_000)


AHEAD = r"committed \d+ in partition \d+, plays was applied up to"
"""What is committed without being valid where it lies, or before it lies there."""
SHORT = Load(seconds=30)
DRILLS = (
    Drill(
        101,
        "no-dedup",
        "Control: dedup off",
        "copies, and nobody remembers any id",
        nothing,
        SHORT,
        breach="no-dedup",
        expects="O1: duplicates|plays|batches",
    ),
    Drill(
        102,
        "ack-before-append",
        "Control: the ack before the append",
        "the position moves, and is committed, a second before the outcomes are written",
        nothing,
        Load(rate=200, seconds=30),  # each batch takes a second
        until_zero=5,
        breach="ack-before-append",
        expects=f"O4: {AHEAD}",
    ),
    Drill(
        103,
        "at-ignored",
        "Control: `at` ignored",
        "writers take any offset for the one they expected, readers every record for valid; a worker is stopped before an "
        "append and sends it when others have written at its place",
        zombie_meets_writer,
        SHORT,
        until_zero=5,
        breach="at-ignored",
        expects=f"O4: {AHEAD}",
    ),
    Drill(
        104,
        "commit-before-insert",
        "Control: the commit before the insert",
        "the sink commits before it inserts, and is killed in between",
        ends_after_commit,
        Load(seconds=45, scenario={"duplicates": COPIES}),
        breach="commit-before-insert",
        expects="O1: top_artists",
    ),
)
