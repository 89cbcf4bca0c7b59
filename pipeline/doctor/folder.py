"""The data folder: there or makeable, writable, with room on its disk, and on those mounted within it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.doctor.findings import Finding
from pipeline.room import STORE_KEEPS, free_bytes

SUBJECT = "data folder"
GIB = 1 << 30
SCARCE, LITTLE = 1 * GIB, 5 * GIB
"""Free bytes: below the first the run is about to stop, below the second a large scenario may fill the disk."""


@dataclass(frozen=True, slots=True)
class Folder:
    """`blocked`: the path on the way that is no folder, empty where there is none. `free`: bytes on its disk. `mounted`:
    folders within it that lie on disks of their own, and the bytes free there."""

    path: Path
    exists: bool
    blocked: str
    writable: bool
    free: int
    mounted: tuple[tuple[Path, int], ...] = ()


def gather(path: Path, parts: Sequence[Path] = ()) -> Folder:
    """`parts`: folders within it that fill up. Nothing is written or made. Raises OSError where the disk can't be asked."""
    path = path.absolute()
    there = next(parent for parent in (path, *path.parents) if os.path.lexists(parent))
    own = there if there.is_dir() else there.parent
    elsewhere = (part for part in parts if part.is_dir() and part.stat().st_dev != own.stat().st_dev)
    mounted = tuple((part, free_bytes(part)) for part in elsewhere)
    blocked = "" if there.is_dir() else str(there)
    return Folder(path, path.is_dir(), blocked, os.access(there, os.W_OK | os.X_OK), free_bytes(own), mounted)


def judge(folder: Folder) -> list[Finding]:
    """Findings of the data folder, and of disks within it that have little room."""
    scarce = [_little(part, free) for part, free in folder.mounted if free < LITTLE]
    return [*_own(folder), *scarce]


def _own(folder: Folder) -> list[Finding]:
    if folder.blocked:
        found = f"{folder.path} can't be used: {folder.blocked} is no folder"
        return [Finding("problem", SUBJECT, found, "remove what is there, or set LISTENING_DATA_DIR to another folder")]
    if not folder.writable:
        remedy = "give this user the right to write there, or set LISTENING_DATA_DIR to another folder"
        return [Finding("problem", SUBJECT, f"{folder.path} can't be written", remedy)]
    if folder.free < LITTLE:
        return [_little(folder.path, folder.free)]
    made = "" if folder.exists else ", will be made"
    return [Finding("ok", SUBJECT, f"{folder.path}: writable{made}, {_room(folder.free)}")]


def _little(path: Path, free: int) -> Finding:
    found = f"{path}: only {_room(free)}"
    if free < STORE_KEEPS:
        found = f"{path}: the disk is full ({free >> 20} MiB free), what writes there waits until there is room"
    remedy = "delete runs that are done with (`listening delete RUN --yes`), or set LISTENING_DATA_DIR to a larger disk"
    return Finding("problem" if free < SCARCE else "warning", SUBJECT, found, remedy)


def _room(free: int) -> str:
    return f"{free / GIB:,.1f} GiB free"
