"""A small disk for drills: a file system of a few megabytes in memory that is filled and freed again.

with small_disk(folder, 64) as disk:  disk.fill(100_000) ─► what writes there meets ENOSPC ─► disk.free()
"""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import RefusedError

FILLER = "filler"
SECONDS = 120
"""A bound, not an expectation: on a busy machine `mount` may not even have begun after some seconds."""
FULL_BYTES = 1 << 20
"""What ClickHouse reserves before it writes the smallest part: with less than this it takes nothing more."""


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A mounted file system; `folder` is its root."""

    folder: Path

    @property
    def free_bytes(self) -> int:
        """What can still be written."""
        stat = os.statvfs(self.folder)
        return stat.f_bavail * stat.f_frsize

    @property
    def is_full(self) -> bool:
        """Whether less than FULL_BYTES are free."""
        return self.free_bytes < FULL_BYTES

    def fill(self, leave_bytes: int = 0) -> None:
        """Take all room but `leave_bytes` (rounded up to a page), also while others write; again: what became free since.

        Raises OSError where the filler can't be written.
        """
        page = os.statvfs(self.folder).f_frsize
        with (self.folder / FILLER).open("ab") as filler:
            while pages := max(0, self.free_bytes - leave_bytes) // page:
                try:
                    os.posix_fallocate(filler.fileno(), os.fstat(filler.fileno()).st_size, pages * page)
                except OSError as error:
                    if error.errno != errno.ENOSPC:  # else somebody was faster: less is left
                        raise

    def free(self) -> None:
        """Give the room back."""
        (self.folder / FILLER).unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """A tmpfs of `megabytes` MiB over `folder`, which is made if need be and must be empty; unmounted whatever happens.

    What was written there is gone afterwards. Raises RefusedError where this machine doesn't let us mount one, or the
    folder holds something.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise RefusedError(f"{folder} holds files, which a small disk would hide: name an empty folder")
    _mount(folder, megabytes)
    try:
        yield SmallDisk(folder)
    finally:
        _unmount(folder)


def _mount(folder: Path, megabytes: int) -> None:
    if shutil.which("mount") is None or shutil.which("umount") is None:
        raise RefusedError(_refusal("there is no mount command here"))
    options = f"size={megabytes}m,mode=0700,uid={os.getuid()},gid={os.getgid()}"
    done = _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder))
    if done.returncode:
        raise RefusedError(_refusal((done.stderr.strip() or f"mount ended with {done.returncode}").splitlines()[0]))


def _unmount(folder: Path) -> None:
    """Off the tree at once; where a process still has a file open there, its memory is given back when that one ends."""
    if _run("umount", str(folder)).returncode:
        _run("umount", "--lazy", str(folder))


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, check=False, env=os.environ | {"LC_ALL": "C"}
    )


def _refusal(why: str) -> str:
    return (
        "this drill fills a small file system of its own, and this machine doesn't let us mount one "
        f"({why}): run it as root on Linux (in a container with CAP_SYS_ADMIN), or leave this drill out"
    )
