"""O1: the store agrees with a recomputation of the whole log, row by row."""

from pipeline.drills.told import Verdict
from pipeline.verify.verdict import Verdict as Verified

NAME = "O1 equality"
LEDGER = "ledger"
"""The check that O2 judges."""


def equality(verified: Verified) -> Verdict:
    """Of `pipeline.verify.verify.verify`'s verdict: every check but the ledger's is exact."""
    checks = [check for check in verified.checks if check.name != LEDGER]
    wrong = [check for check in checks if not check.exact]
    figures: dict[str, int | float | str] = {"offsets": verified.offsets, "grown": verified.grown}
    figures |= {check.name: check.expected for check in checks}
    if not checks:
        return Verdict(NAME, False, "nothing was compared", figures)
    if wrong:
        told = [f"{check.name}: {check.not_compared or '; '.join(check.differences) or 'differs'}" for check in wrong]
        more = sum(max(0, check.differing - len(check.differences)) for check in wrong)
        return Verdict(NAME, False, " | ".join(told) + (f" | and {more:,} more" if more else ""), figures)
    compared = ", ".join(f"{check.expected:,} {check.name}" for check in checks)
    return Verdict(NAME, True, f"{verified.offsets:,} offsets recomputed; equal: {compared}", figures)
