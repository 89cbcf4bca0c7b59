"""`listening capture`: a range of a run's source log as files.

1. snapshot the log's ends   2. a partition after the other into FOLDER.unfinished   3. the manifest   4. rename to FOLDER
"""

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.admin import require_run, topic_id
from pipeline.errors import ListeningError, RefusedError
from pipeline.settings import Settings
from pipeline.topics import topics_of
from producers.capture.files import PartitionFile
from producers.capture.manifest import FILES, NAME, Captured, Manifest, file_name
from producers.interrupt import Interrupt
from producers.replay.places import sync
from producers.replay.read import bounds, reading
from producers.replay.records import tick_of

REPORT_EVERY = 2_000


@dataclass(frozen=True, slots=True)
class Range:
    """Offsets of one partition, or (None) of all, from `start` up to and without `end`; None: as far as there are any."""

    partition: int | None = None
    start: int | None = None
    end: int | None = None


def capture(
    settings: Settings, out: Path, wanted: Range, *, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Manifest:
    """Write the run's `playback-events`, as far as it reaches now, to a new folder.

    `progress` gets how many of how many offsets are done. Raises RefusedError where the range isn't there or the folder
    can't be made, UnavailableError where the broker doesn't answer, ListeningError for Ctrl-C.
    """
    require_run(settings)
    topic = topics_of(settings).events.name
    number = topic_id(settings, topic)
    ranges = _ranges(settings, topic, wanted)
    total, done = sum(end - start for _partition, start, end in ranges), 0

    def shown(offsets: int) -> None:
        progress(done + offsets, total)

    captured = []
    with Interrupt() as interrupt, _unfinished(out) as folder:
        try:
            for partition, start, end in ranges:
                captured.append(_partition(settings, folder, (partition, start, end), interrupt, shown))
                done += end - start
        except KeyboardInterrupt:
            raise ListeningError(f"Interrupted, and nothing is in {out}: the same command begins again.") from None
        if topic_id(settings, topic) != number:
            raise RefusedError(f"Topic {topic} was made anew while it was captured: capture again.")
        manifest = Manifest(
            run=settings.run,
            topic=topic,
            topic_id=number,
            partitions=settings.partitions,
            append_time=settings.append_time,
            captured=captured,
        )
        manifest.save(folder)
    return manifest


def _ranges(settings: Settings, topic: str, wanted: Range) -> list[tuple[int, int, int]]:
    """(partition, start, end) of what is captured, held to what is there."""
    found = bounds(settings, topic)
    if len(found) != settings.partitions:
        raise RefusedError(
            f"Topic {topic} has {len(found)} partitions and LISTENING_PARTITIONS is {settings.partitions}: "
            "set LISTENING_PARTITIONS to what that run began with."
        )
    if wanted.partition is None:
        return [(partition, low, high) for partition, (low, high) in enumerate(found)]
    if not 0 <= wanted.partition < len(found):
        raise RefusedError(f"--partition must be 0 to {len(found) - 1} in run {settings.run}, it is {wanted.partition}.")
    low, high = found[wanted.partition]
    start, end = (low if wanted.start is None else wanted.start), (high if wanted.end is None else wanted.end)
    if not low <= start <= end <= high:
        raise RefusedError(
            f"Partition {wanted.partition} of {topic} holds offsets from {low} up to and without {high}: "
            f"--from {start} --to {end} is no range within them."
        )
    return [(wanted.partition, start, end)]


def _partition(
    settings: Settings, folder: Path, place: tuple[int, int, int], interrupt: Interrupt, progress: Callable[[int], None]
) -> Captured:
    """One partition's file. Raises as `Reader` does."""
    partition, start, end = place
    starts, ends = [0] * settings.partitions, [0] * settings.partitions
    starts[partition], ends[partition] = start, end
    records = ticks = without_headers = 0
    least: int | None = None
    greatest: int | None = None
    topic = topics_of(settings).events.name
    with (
        PartitionFile(folder / file_name(partition), settings.partitions) as file,
        reading(settings, topic, starts, ends, interrupt, append_time=settings.append_time) as reader,
    ):
        for record in reader.partition(partition):
            file.add(record)
            at = record.appended_at
            least, greatest = (at if least is None else min(least, at)), (at if greatest is None else max(greatest, at))
            records += 1
            ticks += record.value is None and tick_of(record) is not None
            without_headers += record.headers is None
            if not records % REPORT_EVERY:
                interrupt.check()
                progress(record.offset + 1 - start)
    progress(end - start)
    return Captured(
        partition=partition,
        start=start,
        end=end,
        records=records,
        ticks=ticks,
        without_headers=without_headers,
        first_appended_at=least,
        last_appended_at=greatest,
    )


@contextmanager
def _unfinished(out: Path) -> Iterator[Path]:
    """A folder beside `out` that becomes it at the end, and is left where that isn't reached: the next command empties it.

    Raises RefusedError where `out` holds something, or another command writes it.
    """
    folder = out.with_name(f"{out.name}.unfinished")
    descriptor = None
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise RefusedError(f"{out} is there already, and a capture replaces nothing: name a new folder with --out.")
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _empty(folder)
        yield folder
        sync(folder)
        os.rename(folder, out)
        sync(out.parent)
    except BlockingIOError:
        raise RefusedError(f"Another `listening capture` is writing {out}: wait until it is done.") from None
    except OSError as error:
        raise RefusedError(f"{out} can't be written ({error.strerror or error}): name another folder with --out.") from None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _empty(folder: Path) -> None:
    """Remove what a command that was killed left; RefusedError where anything else is in it."""
    left = list(folder.iterdir())
    for path in left:
        if path.name != NAME and not re.fullmatch(FILES, path.name):
            raise RefusedError(f"{folder} holds {path.name}, which is no capture's: name another folder with --out.")
    for path in left:
        path.unlink()
