"""A made-up report: drills of all kinds with a few hundred samples each, and results with odd contents.

To look at it: `python -m tests.unit.drills.made_up FOLDER`.
"""

import random
import sys
from dataclasses import replace
from pathlib import Path

from pipeline.drills.told import Moment, Result, Sample, Verdict

ORACLES = ("O1 equality", "O2 ledger", "O3 conservation", "O4 offsets", "O5 replay", "O6 liveness")
NAMES = (
    "kill-at-crash-points",
    "sigterm-under-load",
    "zombie",
    "broker-killed",
    "broker-stopped",
    "store-away",
    "answer-lost",
    "rebalance-storm",
    "duplicates",
    "reordering",
    "clock-ahead",
    "poison",
    "poison-only",
    "offsets-reset",
    "log-cut",
    "disk-full",
    "slow-consumer",
    "registry-away",
    "hot-artist",
    "rank-and-store-killed",
)
CONTROLS = (
    ("no-dedup", "dedup is off", "O1: counts? differ"),
    ("early-ack", "the input is acknowledged before the append", "O3: missing"),
    ("at-ignored", "readers take records that lie elsewhere than `at` says", "O4: overlap"),
    ("early-commit", "the store commits before its insert", "O1: rows? missing"),
)
SCRIPT = "<script>alert('a sentence')</script> & \"quotes\""


def moments(faults: int = 2, first: float = 60) -> tuple[Moment, ...]:
    done = [Moment(first + 5 * n, "fault", f"kill -9 of classify-{n % 2 + 1}, pid {4000 + n}") for n in range(faults)]
    seen = [Moment(moment.second + 1.4, "seen", "supervisor started it again") for moment in done]
    last = max((moment.second for moment in done), default=first)
    places = {"load": 0, "fault": first, "recovery": last + 2, "drain": last + 90, "judge": last + 110}
    phases = [Moment(second, "phase", phase) for phase, second in places.items()]
    return tuple(sorted((*phases, *done, *seen), key=lambda moment: moment.second))


def samples(made: random.Random, happened: tuple[Moment, ...], rate: int = 20_000, silent: int = 9) -> tuple[Sample, ...]:
    """Steady load until the drain; nothing is applied for `silent` seconds after each fault, the broker answers nothing
    for a part of these, then the backlog goes at double speed; the store follows a second behind."""
    until = {moment.what: moment.second for moment in happened if moment.kind == "phase"}
    faults = [moment.second for moment in happened if moment.kind == "fault"]
    produced = applied = stored = 0
    taken = []
    for second in range(int(until["judge"])):
        produced += made.randint(rate - 800, rate + 800) if second < until["drain"] else 0
        stored = applied
        quiet = any(0 < second - fault <= silent for fault in faults)
        applied = applied if quiet else min(produced, applied + 2 * rate)
        silent_broker = any(3 < second - fault <= 5 for fault in faults)
        memory = {
            "broker": 640 + second // 4,
            "classify-1": 210 + made.randint(0, 12),
            "classify-2": 205 + made.randint(0, 12),
        }
        memory |= {"rank": 150, "store": 420 + (produced - stored) // 900}
        if quiet:
            del memory["classify-1"]
        sample = Sample(second + made.random() / 50, produced, applied, stored, memory)
        taken.append(replace(sample, produced=None, applied=None, stored=None) if silent_broker else sample)
    return tuple(taken)


def result(number: int, name: str, seed: int = 7, faults: int = 2) -> Result:
    made = random.Random(f"{seed} {number} {name}")
    happened = moments(faults)
    silent = 1 if faults > 2 else made.randint(2, 12)
    taken = samples(made, happened, silent=silent)
    verdicts = [
        Verdict(oracle, True, f"{made.randint(2, 4):,},113,402 of it compared, all agree.", {"rows": 3_113_402})
        for oracle in ORACLES
    ]
    told: dict[str, int | float | str] = {
        "longest_silence_seconds": silent + 0.4,
        "seconds_to_zero_lag": round(silent * 1.9, 1),
    }
    verdicts[5] = Verdict(ORACLES[5], True, f"Nothing was applied for {silent + 0.4} s, 30 s are allowed.", told)
    if number == 17:
        verdicts.append(Verdict("memory", True, "the largest process, store, had 761 MB of 1500"))
    if number % 4 == 0:
        verdicts[4] = Verdict(ORACLES[4], None, "This drill cuts the log, so a second run would read another one.")
    peaks = {process: max(sample.memory_mb.get(process, 0) for sample in taken) + 9 for process in taken[-1].memory_mb}
    title = f"What happens when {name.replace('-', ' ')} meets a steady load"
    return Result(
        number,
        name,
        title,
        "kill -9 of each classify worker in turn, 5 s apart, at 20,000 events/s",
        "throughput at zero for 30 s at most, no lag 60 s after the last fault",
        seed,
        f"2026-11-23T12:{number:02}:00+00:00",
        taken[-1].second + 21.5,
        happened,
        taken,
        tuple(verdicts),
        peaks,
        {"events": taken[-1].produced or 0, "events_per_second": 19_987.3, "restarts": 2},
    )


def control(number: int, name: str, breach: str, expects: str, found: bool = True) -> Result:
    oracle, _, pattern = expects.partition(": ")
    sentence = f"12 {pattern.replace('?', '')}: artist 17, pane 2026-11-23 12:00:10, 41 instead of 38."
    base = result(number, name, faults=1)
    told = [
        Verdict(verdict.oracle, not found, sentence if found else "All agree.")
        if verdict.oracle.startswith(oracle)
        else verdict
        for verdict in base.verdicts
    ]
    return replace(base, title=f"With {breach}", breach=breach, expects=expects, verdicts=tuple(told))


def odd_results() -> list[Result]:
    """Each with something that a report could stumble over."""
    plain = result(1, "odd")
    no = Verdict("O1 equality", False, SCRIPT, {"first<difference>": SCRIPT, "ratio": float("nan"), "rows": 0})
    unknown = tuple(replace(sample, produced=None, applied=None, stored=None, memory_mb={}) for sample in plain.samples)
    return [
        replace(plain, name="script", title=SCRIPT, fault=SCRIPT, verdicts=(no,), moments=(Moment(5, "fault", SCRIPT),)),
        replace(plain, name="unanswered", samples=unknown),
        replace(plain, name="no samples", samples=(), moments=(), verdicts=(), peak_mb={}, figures={}),
        replace(plain, name="one sample", samples=plain.samples[:1]),
        replace(plain, name="error", error=f"TimeoutError: {SCRIPT}\n  at line 3", verdicts=(), samples=plain.samples[:40]),
        replace(plain, name="odd", bound="\udcff is no text, https://example.org is", expects="", seconds=float("inf")),
        replace(plain, name="odd"),
        control(21, "missed", "nothing <b>bold</b>", "O3: missing", found=False),
    ]


def realistic_results() -> list[Result]:
    """20 drills, one of which fails and one of which could not be judged, and 4 controls, one of which is missed."""
    drills = [result(number, name, faults=40 if name == "rebalance-storm" else 2) for number, name in enumerate(NAMES, 1)]
    said = Verdict(
        "O3 conservation",
        False,
        "Partition 2: 1,204,117 events in the log, 1,204,115 rows; missing offsets 881203, 881204.",
        {"partition": 2, "in_log": 1_204_117, "rows": 1_204_115},
    )
    drills[6] = replace(drills[6], verdicts=(*drills[6].verdicts[:2], said, *drills[6].verdicts[3:]))
    drills[15] = replace(
        drills[15], verdicts=(), error="UnavailableError: the broker did not come up within 60 s: no space left"
    )
    controls = [control(number, *told, found=number != 23) for number, told in enumerate(CONTROLS, 21)]
    return [*drills, *controls]


if __name__ == "__main__":
    from rich.console import Console

    from pipeline.drills.report import write_report
    from pipeline.drills.shown import print_result, print_results

    ran = realistic_results()
    page = write_report(ran, Path(sys.argv[1]), seed=7, machine="2 cores, 8 GB, Linux 6.1, x86_64")[1]
    print_result(ran[6], Console(width=100))
    print_results(ran, Console(width=100), page)
