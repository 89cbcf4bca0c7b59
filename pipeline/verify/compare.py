"""The store against the recomputation: one round of all checks, and the bounded wait for a round that agrees."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UnavailableError
from pipeline.verify.checks import batches_by_partition, check_batches, check_conservation, check_watermarks, covered, needed
from pipeline.verify.diff import diff
from pipeline.verify.recompute import Recomputed
from pipeline.verify.rows import Rows
from pipeline.verify.tables import BATCHES, COUNTS, DUPLICATES, PLAYS, TOPS, Shape, expected
from pipeline.verify.verdict import SHOWN, Check

PAGE_ROWS = 400_000
"""Most rows asked of the store at once."""
QUIET_SECONDS = 30.0
"""Differences that stay the same for so long, in a store that covers the log, are final. A worker that was killed is
back earlier."""
AWAY_SECONDS = 15.0
"""How long the store may be away or busy: a supervisor has it back by then."""
POLL_SECONDS = 0.5
GROWING = (
    "the log grew while it was verified, so counts and lists may hold later plays: stop the producers, then verify again"
)


class Comparison:
    """Compares one snapshot with the store. A check that agreed once isn't made again."""

    def __init__(self, recomputed: Recomputed, rows: Rows) -> None:
        self._recomputed = recomputed
        self._rows = rows
        self._expected = expected(recomputed)
        self._settled: dict[str, Check] = {}
        self.needed = sum(needed(fold) for fold in recomputed.folds)

    def covered(self) -> int:
        """How many offsets of the snapshot the store's batches cover without a gap; of `needed`."""
        found = batches_by_partition(self._rows.rows(BATCHES))
        return sum(covered(fold, found.get(fold.partition, [])) for fold in self._recomputed.folds)

    def round(self, *, growing: bool) -> list[Check]:
        """Make the checks that haven't agreed yet. `growing`: records were appended after the snapshot."""
        ours, want = self._recomputed, self._expected
        batches, counts = self._rows.rows(BATCHES), self._rows.rows(COUNTS)
        checks = [
            self._once("batches", lambda: check_batches(ours, batches, growing)),
            self._once("watermarks", lambda: check_watermarks(ours, batches, growing)),
            self._once("conservation", lambda: check_conservation(ours, batches, counts, growing)),
            self._once(PLAYS.name, lambda: self._pages(PLAYS, want.plays, growing)),
            self._once(DUPLICATES.name, lambda: self._pages(DUPLICATES, want.duplicates, growing)),
            self._once(COUNTS.name, lambda: _of_still_log(diff(COUNTS, want.counts, counts), growing)),
            self._once(TOPS.name, lambda: _of_still_log(diff(TOPS, want.tops, self._due_tops()), growing)),
        ]
        self._settled = {check.name: check for check in checks if check.exact}
        return checks

    def _once(self, name: str, make: Callable[[], Check]) -> Check:
        return self._settled.get(name) or make()

    def _due_tops(self) -> pa.Table:
        """Whatever is final, and whatever the store holds of windows that should be: a provisional row there is wrong."""
        tops = self._rows.rows(TOPS)
        return tops.filter(pc.or_(tops["final"], pc.less_equal(tops["window_end"], self._recomputed.due)))

    def _pages(self, shape: Shape, wanted: pa.Table, growing: bool) -> Check:
        """Compare by ranges of source offsets over all partitions, so that neither side is held twice in memory."""
        ends = self._recomputed.ends
        step = max(1, PAGE_ROWS // len(ends))
        starts = range(0, max(*ends, 1), step)
        pages = []
        for first in starts:
            end = first + step if first != starts[-1] else None  # the last page shows what lies past the log's end, too
            found = self._rows.rows(shape, first, end)
            if growing:
                found = _below(found, ends)
            offsets = wanted["source_offset"]
            inside = pc.greater_equal(offsets, first)
            if end is not None:
                inside = pc.and_(inside, pc.less(offsets, end))
            pages.append(diff(shape, wanted.filter(inside), found))
        return Check(
            shape.name,
            expected=sum(page.expected for page in pages),
            agreed=sum(page.agreed for page in pages),
            differing=sum(page.differing for page in pages),
            differences=tuple(sentence for page in pages for sentence in page.differences)[:SHOWN],
        )


def _below(found: pa.Table, ends: list[int]) -> pa.Table:
    """Without the rows past the snapshot; a partition that isn't ours stays, and is reported."""
    past = pa.array([False] * found.num_rows)
    for partition, end in enumerate(ends):
        mine = pc.equal(found["source_partition"], partition)
        past = pc.or_(past, pc.and_(mine, pc.greater_equal(found["source_offset"], end)))
    return found.filter(pc.invert(past))


def _of_still_log(check: Check, growing: bool) -> Check:
    if check.exact or not growing:
        return check
    return Check(check.name, check.expected, check.agreed, 0, not_compared=GROWING)


def settle(
    comparison: Comparison,
    grown: Callable[[], int],
    *,
    timeout: float,
    clock: Callable[[], float],
    pause: Callable[[float], None],
    progress: Callable[[int], None],
) -> list[Check]:
    """Repeat rounds until all agree, nothing changes any more, or `timeout` seconds are over.

    A stored row may only be late, so a difference counts when it stays. `grown`: records appended since the snapshot;
    `progress` is told how many offsets the store covers. Raises UnavailableError where the store stays away.
    """
    deadline = clock() + timeout
    last: list[Check] = []
    since = answered = clock()
    while True:
        over = clock() >= deadline
        try:
            growing, reached = grown() > 0, comparison.covered()
            progress(reached)
            checks = comparison.round(growing=growing) if reached == comparison.needed or over else []
        except UnavailableError:
            if over or clock() - answered >= AWAY_SECONDS:
                raise
            pause(POLL_SECONDS)
            continue
        answered = clock()
        if checks:
            if all(check.exact or (growing and check.not_compared) for check in checks):
                return checks
            if not growing and grown() > 0:
                continue  # what looks extra may just be newer than the snapshot
            if checks != last:
                last, since = checks, clock()
            if over or clock() - since >= QUIET_SECONDS:
                return checks
        pause(POLL_SECONDS)
