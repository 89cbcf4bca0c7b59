"""`listening merge`: any number of sorted files into one, in memory that doesn't grow with them.

files ─► in order? ─► k-way, at most FAN_IN at a time ─► one file
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.errors import ListeningError
from producers.merge.files import read_sorted, require_key, schema_of, unfinished, units, write
from producers.merge.keyed import Keyed
from producers.merge.kway import merged

AT_HAND = 30_000
"""Rows in memory over all files that are merged at once."""
FAN_IN = 64
"""Files merged at once: each open one costs memory however few of its rows are at hand, and a process may open only so many.
More are merged by so many neighbours into files in between: the order of equal keys stays the files'."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What one merge did. `passes`: how often each row was written."""

    out: str
    files: int
    rows: int
    passes: int
    seconds: float

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds if self.seconds else 0.0


def merge(
    files: Sequence[Path],
    out: Path,
    by: str = "played_at",
    tolerate: float = 0.0,
    *,
    progress: Callable[[int], None] = lambda _rows: None,
) -> Merged:
    """Merge files (at least one) that are each sorted by `by` into `out`, which is replaced if it is there.

    Rows with equal keys: in the order of the files, then of the rows. `tolerate`: so many seconds may a row lie behind one
    before it. `progress` gets the rows of a pass written so far. Raises ListeningError naming the file that can't be
    read, has other columns, or is out of order, with the row.
    """
    began = time.monotonic()
    schema = _common_schema(files, by)
    if any(path.exists() and out.exists() and path.samefile(out) for path in files):
        raise ListeningError(f"--out {out} is one of the files to be merged: give it another name")
    bound, rows, passes = units(schema, by, tolerate), 0, 1
    with unfinished(out) as unfinished_out, _beside(out) as folder:
        left = list(files)
        while len(left) > FAN_IN:
            left = _narrowed(left, Path(folder), passes, schema, by, bound, progress)
            bound, passes = 0, passes + 1
        for rows in write(unfinished_out, schema, merged_files(left, schema, by, bound)):
            progress(rows)
    return Merged(str(out), len(files), rows, passes, time.monotonic() - began)


def merged_files(files: Sequence[Path], schema: Any, by: str, bound: int = 0) -> Iterator[Keyed]:
    """The rows of at most FAN_IN sorted files, merged. Raises as `read_sorted`."""
    at_once = max(1, AT_HAND // max(1, len(files)))
    return merged([read_sorted(path, schema, by, at_once, bound) for path in files])


def _narrowed(
    files: list[Path], folder: Path, number: int, schema: Any, by: str, bound: int, progress: Callable[[int], None]
) -> list[Path]:
    """The files merged by FAN_IN neighbours; those in between of an earlier pass are deleted as they are used up."""
    narrowed, done = [], 0
    for start in range(0, len(files), FAN_IN):
        some, rows = files[start : start + FAN_IN], 0
        narrowed.append(folder / f"{number}-{start:09}.parquet")
        for rows in write(narrowed[-1], schema, merged_files(some, schema, by, bound)):
            progress(done + rows)
        done += rows
        for path in some:
            if path.parent == folder:
                path.unlink()
    return narrowed


def _beside(out: Path) -> "TemporaryDirectory[str]":
    return TemporaryDirectory(prefix=f".{out.name}.", suffix=".part", dir=out.parent)


def _common_schema(files: Sequence[Path], by: str) -> Any:
    first = schema_of(files[0])
    require_key(files[0], first, by)
    for path in files[1:]:
        schema = schema_of(path)
        if not schema.equals(first):
            raise ListeningError(f"{path} has other columns than {files[0]}: {_difference(schema, first)}")
    return first


def _difference(schema: Any, wanted: Any) -> str:
    for number, (field, other) in enumerate(zip(schema, wanted, strict=False)):
        if not field.equals(other):
            return f"column {number} is {field.name} ({field.type}), not {other.name} ({other.type})"
    return f"{len(schema)} instead of {len(wanted)}"
