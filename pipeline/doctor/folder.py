"""The data folder: there or makeable, writable, with room on its disk."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from pipeline.doctor.findings import Finding

SUBJECT = "data folder"
GIB = 1 << 30
SCARCE, LITTLE = 1 * GIB, 5 * GIB
"""Free bytes: below the first the run is about to stop, below the second a large scenario may fill the disk."""


@dataclass(frozen=True, slots=True)
class Folder:
    """`blocked`: the path on the way that is no folder, empty where there is none. `free`: bytes on its disk."""

    path: Path
    exists: bool
    blocked: str
    writable: bool
    free: int


def gather(path: Path) -> Folder:
    """Nothing is written or made. Raises OSError where the disk can't be asked."""
    path = path.absolute()
    there = next(parent for parent in (path, *path.parents) if os.path.lexists(parent))
    free = shutil.disk_usage(there if there.is_dir() else there.parent).free
    return Folder(path, path.is_dir(), "" if there.is_dir() else str(there), os.access(there, os.W_OK | os.X_OK), free)


def judge(folder: Folder) -> list[Finding]:
    """Findings of the data folder."""
    room = f"{folder.free / GIB:,.1f} GiB free"
    if folder.blocked:
        found = f"{folder.path} can't be used: {folder.blocked} is no folder"
        return [Finding("problem", SUBJECT, found, "remove what is there, or set LISTENING_DATA_DIR to another folder")]
    if not folder.writable:
        remedy = "give this user the right to write there, or set LISTENING_DATA_DIR to another folder"
        return [Finding("problem", SUBJECT, f"{folder.path} can't be written", remedy)]
    if folder.free < LITTLE:
        remedy = "delete runs that are done with (`listening delete RUN --yes`), or set LISTENING_DATA_DIR to a larger disk"
        return [Finding("problem" if folder.free < SCARCE else "warning", SUBJECT, f"{folder.path}: only {room}", remedy)]
    made = "" if folder.exists else ", will be made"
    return [Finding("ok", SUBJECT, f"{folder.path}: writable{made}, {room}")]
