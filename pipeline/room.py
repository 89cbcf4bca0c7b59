"""Room on the disk under a folder: how much, whether it is enough, and waiting for it."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import UnavailableError

STORE_KEEPS = 64 << 20
"""Bytes that the store leaves free: what others write there while an insert or a merge is at work."""
STORE_FULL = 8 << 20
"""Below so many free bytes the embedded engine may have run out of room while it wrote (see pipeline/store/disk.py)."""
BROKER_NEEDS = 32 << 20
"""Bytes that Kafka is started with: with less it halts before it answers."""
LOOK_SECONDS = 1.0


def free_bytes(folder: Path) -> int:
    """What this user can still write under a folder, or where it would be made. Raises OSError where that can't be asked."""
    there = next(path for path in (folder, *folder.parents) if path.is_dir())
    stat = os.statvfs(there)
    return stat.f_bavail * stat.f_frsize


def full(what: str, folder: Path, free: int, wanted: int) -> str:
    """The sentence for a full disk: what waits, where, for how much."""
    return (
        f"the disk under {folder} is full ({free >> 20} MiB free): {what} waits until {wanted >> 20} MiB are free there, "
        "and goes on by itself"
    )


def require_room(what: str, folder: Path, wanted: int) -> None:
    """Raise UnavailableError, saying that `what` waits, where fewer than `wanted` bytes are free under `folder`."""
    if (free := free_bytes(folder)) < wanted:
        raise UnavailableError(full(what, folder, free, wanted))


def wait_for_room(what: str, folder: Path, wanted: int, say: Callable[[str], None]) -> None:
    """Return once `wanted` bytes are free under `folder`, however long that takes; `say` hears why it waits, once."""
    said = False
    while True:
        try:
            return require_room(what, folder, wanted)
        except UnavailableError as error:
            if not said:
                say(str(error))
            said = True
            time.sleep(LOOK_SECONDS)
