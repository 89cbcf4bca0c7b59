"""Faults that are events: copies, disorder, clocks, poison, a hot key, a spike over a slow consumer."""

from pipeline.drills.drill import COPIES, Drill, Load
from pipeline.drills.ground import CLASSIFY, Ground, require
from pipeline.drills.switches import slow
from pipeline.drills.told import Verdict
from pipeline.store.ask import rows
from pipeline.verify.verdict import Verdict as Recomputed

HORIZON_SECONDS = 1_800
RESTARTS = 3
SLOW_SECONDS_A_FETCH = 1.0
MOST_MB = 600
OUT_OF_ORDER = """
    SELECT countIf(outcome = 'accepted' AND event_time < newest) AS within, countIf(outcome = 'late') AS beyond FROM
    (
        SELECT outcome, event_time, max(event_time) OVER (
            PARTITION BY source_partition ORDER BY source_offset ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS newest FROM plays FINAL
    )
"""
HOTTEST = """
    SELECT max(plays) / sum(plays) AS share FROM
    (SELECT artist_id, sum(plays) AS plays FROM artist_counts FINAL GROUP BY artist_id)
"""


def restarts(ground: Ground) -> None:
    """A classify worker is killed, again and again, so that copies meet a memory that was rebuilt."""
    for number in range(RESTARTS):
        ground.loaded()
        name = CLASSIFY[number % 2]
        ground.back(name, than=ground.kill(name))
        ground.progressed()


def nothing(ground: Ground) -> None:
    """The events are the fault."""
    ground.progressed()


def copies_met(ground: Ground, found: Recomputed) -> list[Verdict]:
    """Copies of every kind were there, on both sides of the horizon."""
    assert found.truth is not None
    kinds = {kind.kind: kind for kind in found.truth.kinds if not kind.is_original}
    copies = sum(kind.in_log for kind in kinds.values())
    edge = kinds["upstream_replay"]
    share = copies / max(1, found.offsets - found.ticks)
    ground.figures |= {"share of copies": round(share, 3), "caught at the edge": edge.caught, "beyond it, late": edge.late}
    holds = share >= 0.3 and edge.caught > 0 and edge.late > 0
    return [
        Verdict(
            "copies",
            holds,
            f"{copies:,} copies, {share:.0%} of all events: "
            + ", ".join(f"{kind.in_log:,} {name}" for name, kind in kinds.items())
            + f"; of a stretch sent again around the horizon's edge {edge.caught:,} came within it and were caught, "
            f"{edge.late:,} beyond it and count as late, {edge.missed:,} were missed",
        )
    ]


def out_of_order(ground: Ground, found: Recomputed) -> list[Verdict]:
    """Events came after later ones, within the grace and beyond it."""
    (row,) = rows(ground.settings, OUT_OF_ORDER)
    ground.figures |= {"out of order within the grace": row["within"], "late": row["beyond"]}
    holds = row["within"] > 0 and row["beyond"] > 0 and found.outcomes["late"] == row["beyond"]
    return [
        Verdict(
            "disorder", holds, f"{row['within']:,} plays came after later ones and count, {row['beyond']:,} came too late"
        )
    ]


def clocks_met(ground: Ground, found: Recomputed) -> list[Verdict]:
    """Clocks behind made late events, clocks ahead invalid ones, and nobody's honest play was harmed."""
    late, invalid = found.outcomes["late"], found.outcomes["invalid"]
    ground.figures |= {"late": late, "invalid": invalid}
    return [
        Verdict("clocks", late > 0 and invalid > 0, f"{late:,} events of clocks behind are late, {invalid:,} too far ahead")
    ]


def hot_share(ground: Ground, _found: Recomputed) -> list[Verdict]:
    """One artist has most of the plays."""
    (row,) = rows(ground.settings, HOTTEST)
    ground.figures["share of the hottest artist"] = round(row["share"], 3)
    return [Verdict("hot key", 0.55 <= row["share"] <= 0.7, f"one artist has {row['share']:.1%} of all counted plays")]


def too_slow(ground: Ground) -> None:
    """Before the spike each fetch begins to take a second longer; after it all is as before."""
    ground.until("the load is under way", lambda: ground.second() >= 15)
    for name in CLASSIFY:
        slow(ground.settings, name, seconds=SLOW_SECONDS_A_FETCH)
    ground.say("fault", f"classify takes {SLOW_SECONDS_A_FETCH:.0f} s longer for each fetch of a partition")
    ground.until("the spike is over", lambda: ground.second() >= 45)
    behind = max((s.produced or 0) - (s.applied or 0) for s in ground.watch.samples)
    ground.figures["most events behind"] = behind
    require(behind > 10_000, f"classify was only {behind:,} events behind: the spike was no spike, or it was not slow")
    for name in CLASSIFY:
        slow(ground.settings, name)
    ground.say("fault", "classify is as fast as before")


def memory_bounded(ground: Ground, _found: Recomputed) -> list[Verdict]:
    """No process grew beyond what is allowed, however far behind it was."""
    peaks = {name: peak for name, peak in ground.watch.peak_mb.items() if name != "produce"}
    largest = max(peaks, key=lambda name: peaks[name])
    return [
        Verdict("memory", peaks[largest] < MOST_MB, f"the largest process, {largest}, had {peaks[largest]} MB of {MOST_MB}")
    ]


DRILLS = (
    Drill(
        9,
        "duplicates",
        "30% duplicates",
        "30% copies: adjacent, across batches, across restarts of classify, and a stretch sent again at the horizon's edge",
        restarts,
        Load(
            rate=2_000,
            seconds=50,
            minutes=75.0,
            scenario={
                "lateness": {"late": 0.005},
                "duplicates": {
                    "producer_retry": 0.12,
                    "client_double_send": {"share": 0.14, "seconds": [1, 100], "reconnecting": 0.2},
                    "upstream_replay": [{"from_minute": 10, "to_minute": 16, "at_minute": 43, "over_minutes": 1}],
                },
            },
        ),
        settings={"horizon_seconds": HORIZON_SECONDS, "slot_seconds": 60},
        also=copies_met,
    ),
    Drill(
        10,
        "reordering",
        "Reordering within and beyond the grace",
        "a tenth of the plays come minutes late, sessions without connection are uploaded together, all others in disorder",
        nothing,
        Load(seconds=30, minutes=60.0, scenario={"lateness": {"late": 0.1, "offline": 0.2}, "duplicates": COPIES}),
        also=out_of_order,
    ),
    Drill(
        11,
        "clock-skew",
        "Client clocks off by up to an hour",
        "one client in eight has a clock that is up to an hour ahead or behind",
        nothing,
        Load(seconds=30, minutes=90.0, scenario={"clocks": {"share": 0.12, "minutes": [-60, 60]}, "duplicates": COPIES}),
        settings={"append_time": False},
        also=clocks_met,
    ),
    Drill(
        12,
        "poison",
        "Poison of each kind mixed in",
        "one record in ten is no event, of each kind as often, while classify is killed three times",
        restarts,
        Load(seconds=45, scenario={"poison": 0.1, "duplicates": COPIES}),
    ),
    Drill(
        17,
        "slow-consumer",
        "A consumer ten times too slow in a spike",
        "ten times the load for ten seconds, while each classify worker takes a second longer for each fetch",
        too_slow,
        Load(
            rate=1_800,
            seconds=60,
            minutes=60.0,
            is_curved=True,
            scenario={
                "duplicates": COPIES,
                "load": [
                    {"minute": 0, "times": 1},
                    {"minute": 20, "times": 1},
                    {"minute": 20.5, "times": 10},
                    {"minute": 30, "times": 10},
                    {"minute": 30.5, "times": 1},
                ],
            },
        ),
        silent=20,
        also=memory_bounded,
    ),
    Drill(
        19,
        "hot-key",
        "One artist with 60% of the load",
        "popularity so steep that one artist has three plays of five, in four shards",
        nothing,
        Load(rate=3_000, seconds=30, scenario={"zipf_exponent": 2.0, "duplicates": COPIES}),
        settings={"shards": 4},
        also=hot_share,
    ),
)
