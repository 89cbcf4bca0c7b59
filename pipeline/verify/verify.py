"""`listening verify`: snapshot the log's end, recompute, wait until the store has it, compare exactly.

1. snapshot the end of every partition   2. recompute everything below it   3. wait, bounded, and compare
4. with a ledger: what was acknowledged, and what became of each kind of copy
"""

import time
from collections.abc import Iterable, Iterator
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

import schemas
from pipeline.outcomes import Outcome
from pipeline.registry.of_run import open_registry
from pipeline.settings import Settings
from pipeline.store.ask import sql
from pipeline.verify import ledger as ledgers
from pipeline.verify.compare import Comparison, settle
from pipeline.verify.decode import Decoder
from pipeline.verify.readlog import end_offsets, read
from pipeline.verify.recompute import TICK, Recomputed, Record, recompute
from pipeline.verify.refusals import Place, outlived_by_events, unknown_then
from pipeline.verify.rows import Rows, StoreRows
from pipeline.verify.verdict import Verdict

EVERY = 5_000
"""Records between two movements of the progress bar."""


def verify(settings: Settings, *, timeout: float = 120.0, show_progress: bool = True) -> Verdict:
    """Verify the run's store against its log as it is now. Waits for the store up to `timeout` seconds.

    Progress goes to stderr. Raises RefusedError where the log can't be verified (cut, of other settings),
    UnavailableError where broker or store don't answer.
    """
    return verify_rows(settings, StoreRows(partial(sql, settings)), timeout=timeout, show_progress=show_progress)


def verify_rows(settings: Settings, rows: Rows, *, timeout: float, show_progress: bool) -> Verdict:
    """`verify` against any source of stored rows."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not show_progress, transient=True) as progress:
        ends, letters = end_offsets(settings), unknown_then(settings)
        verdict = _verdict(settings, rows, ends, letters, timeout, progress)
        if not verdict.exact and (outlived := outlived_by_events(letters, rows)):
            verdict = _verdict(settings, rows, ends, letters - outlived, timeout, progress)
        return verdict


def _verdict(
    settings: Settings, rows: Rows, ends: list[int], letters: set[Place], timeout: float, progress: Progress
) -> Verdict:
    """The verdict on the log below `ends`, where these `letters` are believed."""
    registry = open_registry(settings)
    first = () if settings.schema_registry_url else (schemas.schema_id(schemas.EVENTS_SUBJECT, 1),)
    decoder = Decoder(registry.text, first)
    reading = progress.add_task("recomputing from the log", total=sum(ends))
    recomputed = recompute(
        _shown(read(settings, ends), progress, reading),
        ends=ends,
        rules=settings.rules,
        window_ms=settings.window_seconds * 1000,
        top_k=settings.top_k,
        shards=settings.shards,
        decoder=decoder,
        unknown_then=letters,
    )
    progress.update(reading, completed=sum(ends))
    comparison = Comparison(recomputed, rows)
    waiting = progress.add_task("waiting for the store", total=comparison.needed)

    def grown() -> int:
        return sum(end_offsets(settings)) - sum(ends)

    checks = settle(
        comparison,
        grown,
        timeout=timeout,
        clock=time.monotonic,
        pause=time.sleep,
        progress=lambda reached: progress.update(waiting, completed=reached),
    )
    del comparison  # the expected tables: a third of the memory
    truth = None
    if (found := ledgers.load(settings.ledger_dir)) is not None:
        truth, check = ledgers.judge(found[0], ledgers.log_frame(recomputed), ends, found[1])
        checks.append(check)
    return Verdict(
        run=settings.run,
        offsets=sum(ends),
        ticks=recomputed.count(TICK),
        outcomes=_outcomes(recomputed),
        watermark=recomputed.watermark,
        checks=tuple(checks),
        truth=truth,
        grown=grown(),
        unknown_then=decoder.believed,
    )


def _outcomes(recomputed: Recomputed) -> dict[str, int]:
    return {outcome.label: recomputed.count(outcome) for outcome in Outcome}


def _shown(records: Iterable[Record], progress: Progress, task: TaskID) -> Iterator[Record]:
    for number, record in enumerate(records, start=1):
        if number % EVERY == 0:
            progress.update(task, completed=number)
        yield record
