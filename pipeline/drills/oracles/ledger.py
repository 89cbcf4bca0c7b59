"""O2: what was acknowledged is in the log at its place, what failed is not; no copy counts, no original is dropped."""

from pathlib import Path

from pipeline.drills.oracles.equality import LEDGER
from pipeline.drills.told import Verdict
from pipeline.verify.ledger import load
from pipeline.verify.verdict import KindTruth, Truth
from pipeline.verify.verdict import Verdict as Verified

NAME = "O2 ledger"
STATUSES = ("acknowledged", "failed", "unknown")
SAME_ID = ("client_double_send", "producer_retry", "upstream_replay")
"""Copies with the same event_id and played_at, which the promise speaks of. (A cross_service copy has an id of its own.)"""


def ledger(verified: Verified, folder: Path) -> Verdict:
    """Of verify's verdict and the folder of the run's ledgers (`Settings.ledger_dir`), which tells of the statuses.

    A copy that came beyond the horizon is late by the rules, so one that counts is one that was missed within it.
    """
    held, truth = load(folder), verified.truth
    check = next((check for check in verified.checks if check.name == LEDGER), None)
    if held is None or truth is None or check is None:
        return Verdict(NAME, None, "no producer left a ledger")
    statuses = held[0]["status"].to_list()
    figures: dict[str, int | float | str] = {status: statuses.count(status) for status in STATUSES}
    figures |= {"duplicates": truth.duplicates, "unreadable_files": len(truth.unreadable)}
    figures |= {f"{kind.kind}_caught": kind.caught for kind in truth.kinds if kind.published and not kind.is_original}
    wrong = [] if check.exact else [check.not_compared or "; ".join(check.differences) or "the ledger's rows differ"]
    wrong += _faults(truth)
    if wrong:
        return Verdict(NAME, False, "; ".join(wrong), figures)
    told = ", ".join(f"{statuses.count(status):,} {status}" for status in STATUSES)
    caught = sum(kind.caught for kind in truth.kinds if kind.kind in SAME_ID)
    return Verdict(NAME, True, f"{told}: all where they must be; {caught:,} copies caught, no original dropped", figures)


def _faults(truth: Truth) -> list[str]:
    found = [
        f"{kind.missed:,} of {kind.published:,} {kind.kind} copies were missed" for kind in truth.kinds if _misses(kind)
    ]
    found += [
        f"{kind.wrongly_dropped:,} of {kind.published:,} {kind.kind} originals were dropped as duplicates"
        for kind in truth.kinds
        if kind.wrongly_dropped
    ]
    false = truth.duplicates - truth.copies
    return found + ([f"{false:,} duplicates are no copies by the ledger"] if false else [])


def _misses(kind: KindTruth) -> bool:
    return kind.kind in SAME_ID and kind.missed > 0
