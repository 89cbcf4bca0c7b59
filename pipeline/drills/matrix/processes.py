"""Faults of processes: killed at named points, asked to end, stopped for long, joining and leaving."""

import signal
from collections import Counter

from deploy.embedded.supervisor_config import START_SECONDS
from pipeline.drills.crash_points import POINTS_OF
from pipeline.drills.drill import COPIES, Drill, Load
from pipeline.drills.ground import CLASSIFY, WORKERS, Ground
from pipeline.drills.oracles.reading import records
from pipeline.drills.told import Verdict
from pipeline.store.ask import rows
from pipeline.topics import topics_of
from pipeline.verify.verdict import Verdict as Recomputed

POISON_AND_COPIES = {"duplicates": COPIES, "lateness": {"late": 0.01}, "poison": 0.02}
ZOMBIE_SECONDS = 14.0
STORM_SECONDS = 120.0
STORM_JOINS = 20
FINAL = 2**63
"""Version of a final list in the store."""
SHOWN = (
    "SELECT toUnixTimestamp64Milli(window_end) AS window, max(version) AS version FROM top_artists FINAL GROUP BY window_end"
)


def crash_points(ground: Ground) -> None:
    """Whichever of the two workers reaches the point first kills itself there, for each point in turn."""
    for point in POINTS_OF["classify"]:
        ground.loaded()
        with ground.trap("classify*", point):
            if point == "during restore":
                ground.kill(ground.random.choice(CLASSIFY))
            elif point == "during revoke":
                ground.stop(last := ground.random.choice(CLASSIFY))
                ground.stack.start(last)
        ground.back(*CLASSIFY)
        ground.progressed()


def asked_to_end(ground: Ground) -> None:
    """SIGTERM to each worker in turn, and to all at once; each must end with 0 within the supervisor's patience."""
    for names in (*((name,) for name in WORKERS), WORKERS):
        ground.hold(START_SECONDS + 1.0)  # what ends sooner after its start is started again: that is another drill
        ground.loaded()
        for name in names:
            ground.send(name, signal.SIGTERM)
        took = ground.until("they ended", lambda names=names: not set(names) & set(ground.stack.pids()), 20)  # type: ignore[misc]
        ground.say("seen", f"{', '.join(names)} ended within {took:.1f} s")
        ground.start(*names)
        ground.progressed()
    codes = Counter(end.how for end in ground.watch.ends)
    asked = 2 * len(WORKERS)
    ground.verdicts.append(
        Verdict("exit codes", codes == {"exit code 0": asked}, f"asked {asked} times, they ended with {dict(codes)}")
    )


def zombies(ground: Ground) -> None:
    """Each classify worker is stopped for longer than its session, loses its partitions, and wakes up in their midst."""
    for name in ground.random.sample(CLASSIFY, 2):
        ground.loaded()
        ground.send(name, signal.SIGSTOP)
        ground.hold(ZOMBIE_SECONDS)
        ground.send(name, signal.SIGCONT)
        ground.progressed()


def storm(ground: Ground) -> None:
    """Workers join and leave, in order or by kill -9, twenty of each in two minutes."""
    pause = STORM_SECONDS / STORM_JOINS / 2
    for number in range(STORM_JOINS):
        ground.loaded()
        name = f"classify-guest-{number}"
        guest = ground.join("classify", name)
        ground.say("fault", f"{name} joins")
        ground.hold(pause)
        how = ground.random.choice((signal.SIGTERM, signal.SIGKILL))
        guest.send_signal(how)
        ground.say("fault", f"{name} leaves by {how.name}{'' if ground.joined(name, guest) else ' before it was ready'}")
        ground.hold(pause)
    ground.progressed()


def rank_and_store(ground: Ground) -> None:
    """Rank and store killed alone, together and shortly after one another; then a rank that others took for dead speaks."""
    for names in (("rank",), ("store",), ("rank", "store")):
        ground.loaded()
        ground.back(*names, than=ground.kill(*names))
        ground.progressed()
    for first, second in (("rank", "store"), ("store", "rank")):
        before = ground.kill(first)
        ground.hold(1.0)
        before |= ground.kill(second)
        ground.back(first, second, than=before)
        ground.progressed()
    ground.loaded()
    with ground.trap("rank", "rank before provisional sent", signal.SIGSTOP):
        pass
    guest = ground.join("rank", "rank-2")
    ground.until("another rank has its place", lambda: ground.joined("rank-2", guest))
    ground.progressed(10 * 500)
    ground.send("rank", signal.SIGCONT)
    ground.progressed()
    guest.send_signal(signal.SIGTERM)
    ground.progressed()


def late_lists(ground: Ground, _found: Recomputed) -> list[Verdict]:
    """Lists that came after better ones of the same window are in the log, and the store shows the best of each."""
    best: dict[int, int] = {}
    late = 0
    for raw in records(ground.settings, topics_of(ground.settings).tops.name):
        window, counted, final = (int(raw.headers[name] or 0) for name in ("window_end", "counted", "final"))
        version = FINAL if final else counted
        late += not final and version < best.get(window, 0)
        best[window] = max(version, best.get(window, 0))
    shown = {int(row["window"]): int(row["version"]) for row in rows(ground.settings, SHOWN)}
    wrong = [window for window, version in best.items() if shown.get(window) != version]
    ground.figures["lists that came late"] = late
    told = f"{late} provisional lists came after better ones, the store shows the best of each of {len(best):,} windows"
    return [
        Verdict(
            "late lists", late > 0 and not wrong, told if not wrong else f"the store shows others than the best: {wrong}"
        )
    ]


DRILLS = (
    Drill(
        1,
        "crash-points",
        "kill -9 of classify at named points",
        f"kill -9 of classify {'; '.join(POINTS_OF['classify'])}",
        crash_points,
        Load(rate=1_500, seconds=105, scenario=POISON_AND_COPIES),
        silent=20,
    ),
    Drill(
        2,
        "sigterm",
        "SIGTERM under load",
        "SIGTERM to each worker in turn, then to all at once; each is started again",
        asked_to_end,
        Load(seconds=90),
        silent=30,
    ),
    Drill(
        3,
        "zombie",
        "SIGSTOP beyond the session, SIGCONT",
        f"each classify worker is stopped for {ZOMBIE_SECONDS:.0f} s with a session of 6 s, and wakes up",
        zombies,
        Load(seconds=42),
        silent=20,
    ),
    Drill(
        8,
        "rebalance-storm",
        "A rebalance storm",
        f"{STORM_JOINS} workers join and leave in {STORM_SECONDS:.0f} s, some of them by kill -9",
        storm,
        Load(rate=1_000, seconds=138),
        silent=30,
    ),
    Drill(
        20,
        "rank-and-store",
        "Rank and store killed in every combination, a zombie rank",
        "kill -9 of rank, store, both, one shortly after the other; a rank stopped before it sends a provisional list sends "
        "it when another has its place",
        rank_and_store,
        Load(seconds=85),
        also=late_lists,
    ),
)
