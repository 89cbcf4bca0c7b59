"""`listening export`: the valid events of a run's source log, a file a service, each by played_at.

partitions, one after another ─► decode, as classify does ─► runs on disk, each sorted ─► merged by service ─► files
"""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import polars as pl

from pipeline.codec.decode import Decoded
from pipeline.errors import ListeningError, RefusedError
from pipeline.log.decoded import decoded_log, source_ranges
from pipeline.settings import Settings
from producers.merge.events import KEY, SCHEMA, by_service
from producers.merge.files import write
from producers.merge.merge import merge

RUN_ROWS = 500_000
"""Events that are sorted in memory; more are merged from runs on disk."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What one export did. `events`, `files` by service; `deleted`: offsets below the log's beginning, all partitions.
    `absent`: offsets that hold no record."""

    run: str
    out: str
    events: dict[str, int]
    files: dict[str, str]
    invalid: dict[str, int]
    ticks: int
    absent: int
    deleted: int
    runs: int
    seconds: float

    @property
    def events_per_second(self) -> float:
        return sum(self.events.values()) / self.seconds if self.seconds else 0.0


def file_name(service: str) -> str:
    """The file of a service: whatever it is called, one name in the folder, and another for each other service."""
    quoted = quote(service, safe="")
    return ("%2E" + quoted[1:] if quoted.startswith(".") else quoted) + ".parquet"


def export(settings: Settings, out: Path, *, progress: Callable[[int, int], None] = lambda _done, _total: None) -> Exported:
    """Write the log, as far as it reaches now, into the new folder `out`; it is there when all of it is.

    Equal played_at: by partition, then offset. `progress` gets how many of how many offsets were read. Raises RefusedError
    where there is no such log or `out` isn't empty, UnavailableError where broker or registry don't answer.
    """
    began = time.monotonic()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RefusedError(f"--out {out} is there already and not empty: name a new folder")
    ranges = source_ranges(settings)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{out.name}.", suffix=".part", dir=out.parent) as name:
            folder = Path(name)
            runs = _Runs(folder / "runs")
            (folder / "files").mkdir()
            asyncio.run(_read(settings, ranges, runs, progress))
            files = runs.merged_into(folder / "files")
            os.replace(folder / "files", out)
    except OSError as error:
        raise ListeningError(f"{out} can't be written: {error.strerror or error}") from None
    return Exported(
        run=settings.run,
        out=str(out),
        events=dict(sorted(runs.events.items())),
        files=files,
        invalid=dict(sorted(runs.invalid.items())),
        ticks=runs.ticks,
        absent=runs.absent,
        deleted=sum(low for low, _high in ranges),
        runs=runs.number,
        seconds=time.monotonic() - began,
    )


class _Runs:
    """Sorted runs on disk. As they are written in the order of the log, merging them in theirs keeps it among equal keys."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder, self._frames, self._rows = folder, list[pl.DataFrame](), 0
        self._files: dict[str, list[Path]] = {}
        self._names = count()
        self.events: dict[str, int] = {}
        self.invalid: dict[str, int] = {}
        self.ticks = self.absent = self.number = 0

    def take(self, decoded: Decoded, end: int) -> None:
        """Take in what was decoded of a partition below offset `end`, the next of the log."""
        events = decoded.events.filter(pl.col("offset") < end)
        ticks = sum(tick.offset < end for tick in decoded.ticks)
        refused = [entry for entry in decoded.refused if entry.offset < end]
        for entry in refused:
            self.invalid[entry.reason] = self.invalid.get(entry.reason, 0) + 1
        self.ticks += ticks
        self.absent += min(end, decoded.last + 1) - decoded.first - events.height - ticks - len(refused)
        self._frames.append(events)
        self._rows += events.height
        if self._rows >= RUN_ROWS:
            self._spill()

    def merged_into(self, folder: Path) -> dict[str, str]:
        """Write each service's file; their names. Raises ListeningError."""
        self._spill()
        names = {service: file_name(service) for service in sorted(self._files)}
        for service, name in names.items():
            runs = self._files[service]
            if len(runs) == 1:
                os.replace(runs[0], folder / name)
                continue
            merge(runs, folder / name, KEY)
            for run in runs:
                run.unlink()
        return names

    def _spill(self) -> None:
        if not self._rows:
            return
        for service, rows in by_service(pl.concat(self._frames)):
            files = self._files.setdefault(service, [])
            files.append(self._folder / f"{next(self._names)}.parquet")
            self.events[service] = self.events.get(service, 0) + len(rows.keys)
            for _ in write(files[-1], SCHEMA, (rows.slice(at, at + 65_536) for at in range(0, len(rows.keys), 65_536))):
                pass
        self._frames, self._rows, self.number = [], 0, self.number + 1


async def _read(
    settings: Settings, ranges: list[tuple[int, int]], runs: _Runs, progress: Callable[[int, int], None]
) -> None:
    """Every record of the ranges, partition by partition."""
    done, total = 0, sum(high - low for low, high in ranges)
    async for partition, decoded in decoded_log(settings, ranges):
        high = ranges[partition][1]
        runs.take(decoded, high)
        done += min(high, decoded.last + 1) - decoded.first
        progress(done, total)
