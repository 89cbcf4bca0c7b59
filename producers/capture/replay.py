"""`listening replay`: a capture as a new run, each record where it lay and dated as it was.

1. the manifest   2. the new run's topics   3. what lies there already   4. merge by broker time ─► when due ─► publish

Nothing is kept beside the log: a record's place follows from how many of its partition come before it, so after kill -9 the
same command begins at the beginning, compares what lies there, and goes on behind it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from operator import gt
from pathlib import Path

from pipeline.admin import ensure_topics
from pipeline.errors import ListeningError, RefusedError
from pipeline.settings import Settings, load
from pipeline.topics import topics_of
from producers.capture.files import read_records
from producers.capture.manifest import Manifest
from producers.capture.pace import Pace
from producers.interrupt import Interrupt
from producers.replay.checkpoint import begin_again, held
from producers.replay.read import bounds, settled
from producers.replay.records import merged, tick_of
from producers.replay.target import Target

REPORT_EVERY = 2_000
COMMAND = "replay"


@dataclass(frozen=True, slots=True)
class Replayed:
    """What one `listening replay` did. Seconds are of this machine's monotonic clock."""

    source: str
    run: str
    partitions: int
    records: int
    """Written by this command, ticks included."""
    ticks: int
    """Of the records."""
    compared: int
    """Records that lay in the new log already, from a command that didn't end, and are what they must be."""
    moved: int
    """Records, of all, whose offset is another than captured: the capture begins later, or the old log had holes."""
    without_headers: int
    """Records, of all, that have lost their headers, whose names are no UTF-8."""
    start_seconds: float
    """From the command's begin until the first record was handed over: topics, comparing."""
    seconds: float
    """From handing over the first record to handing over the last."""
    planned_seconds: float | None
    """What `seconds` should be at this speed; None: as fast as it goes."""
    flush_seconds: float
    """From then until the broker had everything."""

    @property
    def rate_error(self) -> float | None:
        """How much longer it took than planned, as a share; None where nothing was planned."""
        return self.seconds / self.planned_seconds - 1 if self.planned_seconds else None

    @property
    def records_per_second(self) -> float:
        elapsed = self.seconds + self.flush_seconds
        return self.records / elapsed if elapsed else 0.0


def replaying(chosen: Settings, run: str, partitions: int) -> Settings:
    """The settings of the new run. Raises SettingsError."""
    return load(**(chosen.model_dump() | {"run": run, "partitions": partitions, "append_time": False}))


def replay(
    folder: Path,
    manifest: Manifest,
    new: Settings,
    speed: float | None,
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Replayed:
    """Publish the folder's records into the new run, at `speed` times their own pace or (None) as fast as it goes.

    `new` is `replaying(…)`. `progress` gets how many of how many records are done. Raises RefusedError where the files are
    damaged or the run holds something else, UnavailableError where the broker doesn't answer, ListeningError for Ctrl-C:
    the same command goes on after each of the latter two, and after kill -9.
    """
    with Interrupt() as interrupt, held(new, COMMAND):
        try:
            return _replay(folder, manifest, new, speed, interrupt, progress)
        except KeyboardInterrupt:
            raise ListeningError(
                f"Interrupted; what was replayed into {new.run} stays: the same command goes on where it stopped."
            ) from None


def _replay(
    folder: Path,
    manifest: Manifest,
    new: Settings,
    speed: float | None,
    interrupt: Interrupt,
    progress: Callable[[int, int], None],
) -> Replayed:
    asked = time.monotonic()
    present = _present(manifest, new)
    pace = None if speed is None else Pace(speed)
    total, records, ticks, moved, without_headers = manifest.records, 0, 0, 0, 0
    began = ended = None
    files = [read_records(folder / entry.file, entry.records) for entry in manifest.captured]
    with Target(new, [0] * new.partitions, present, interrupt, command=COMMAND) as target:
        for done, record in zip(count(), merged(files)):
            partition, is_tick = record.partition, record.value is None and tick_of(record) is not None
            if not target.lies_there(partition):
                if began is None:
                    target.connect()
                    began = time.monotonic()
                if pace is not None and (left := began + pace.due(record.appended_at) - time.monotonic()) > 0:
                    target.serve(left)
                records += 1
                ticks += is_tick
            moved += target.put(partition, record, apart=is_tick) != record.offset
            without_headers += record.headers is None
            if not done % REPORT_EVERY or pace is not None:
                progress(done, total)
        ended = time.monotonic()
        progress(total, total)
        target.end()
        compared = target.compared
    began = ended if began is None else began
    return Replayed(
        source=manifest.run,
        run=new.run,
        partitions=new.partitions,
        records=records,
        ticks=ticks,
        compared=compared,
        moved=moved,
        without_headers=without_headers,
        start_seconds=began - asked,
        seconds=ended - began,
        planned_seconds=None if pace is None else pace.planned,
        flush_seconds=time.monotonic() - ended,
    )


def _present(manifest: Manifest, new: Settings) -> list[int]:
    """How many records lie in each partition of the new log, which is made where there is none."""
    topic = topics_of(new).events.name
    found = bounds(new, topic)
    if found and len(found) != new.partitions:
        raise RefusedError(
            f"Run {new.run} has {len(found)} partitions and the capture has {new.partitions}: name a new run with --to."
        )
    try:
        ensure_topics(new)
    except RefusedError as error:
        raise RefusedError(f"Run {new.run} can't take the capture, name a new one with --to. {error}") from None
    present, wanted = (
        settled(new, topic) if any(high for _low, high in found) else [0] * new.partitions,
        [0] * new.partitions,
    )
    for entry in manifest.captured:
        wanted[entry.partition] = entry.records
    if any(low for low, _high in found) or any(map(gt, present, wanted)):
        raise RefusedError(
            f"Run {new.run} holds {sum(present):,} records that aren't only a part of the capture's {sum(wanted):,}: name a "
            f"new run with --to, or {begin_again(new.run, COMMAND)}"
        )
    return present
