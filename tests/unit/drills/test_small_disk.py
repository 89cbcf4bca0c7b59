"""The small disk of the drills: what it holds, that it fills and frees, and that nothing of it is left."""

import errno
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.drills.small_disk import FULL_BYTES, small_disk
from pipeline.errors import RefusedError
from tests.small_disks import needs_mounts

MIB = 1 << 20


def mounted(folder: Path) -> bool:
    """By the kernel's own list, not by what the module says."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return str(folder) in (line.split()[1] for line in lines)


@needs_mounts
def test_who_writes_to_a_filled_disk_meets_enospc_and_after_it_was_freed_can_write(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        disk.fill(100_000)
        assert 100_000 <= disk.free_bytes < 100_000 + os.statvfs(disk.folder).f_frsize
        with pytest.raises(OSError, match="No space left") as met:
            (disk.folder / "file").write_bytes(bytes(200_000))
        assert met.value.errno == errno.ENOSPC
        disk.free()
        assert (disk.folder / "more").write_bytes(bytes(2 * MIB)) == 2 * MIB


@needs_mounts
def test_filled_again_it_takes_what_became_free_since(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        (disk.folder / "file").write_bytes(bytes(2 * MIB))
        disk.fill()
        (disk.folder / "file").unlink()
        assert not disk.is_full
        disk.fill()
        assert disk.is_full
        assert disk.free_bytes == 0
        disk.free()
        disk.fill(FULL_BYTES)
        assert not disk.is_full


@needs_mounts
def test_it_is_unmounted_after_an_error_and_while_a_file_in_it_is_open(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    with ExitStack() as opened:

        def drill() -> None:
            with small_disk(folder, 1) as disk:
                assert mounted(folder)
                opened.enter_context((disk.folder / "open").open("w"))
                raise ValueError("the drill")

        with pytest.raises(ValueError, match="the drill"):
            drill()
        assert not mounted(folder)
        assert list(folder.iterdir()) == []


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RefusedError, match="name an empty folder"), small_disk(tmp_path, 1):
        pass


@pytest.mark.parametrize(
    ("script", "why"),
    [("", "there is no mount command here"), ("echo 'mount: must be superuser.' >&2; exit 1", "must be superuser")],
)
def test_where_mounting_is_not_allowed_a_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in ("mount", "umount") if script else ():
        (commands / name).write_text(f"#!/bin/sh\n{script}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(commands))
    with pytest.raises(RefusedError, match=f"{why}.*run it as root on Linux"), small_disk(tmp_path / "disk", 1):
        pass


@needs_mounts
def test_another_process_that_fills_it_meanwhile_is_no_obstacle(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 32) as disk:
        writer = subprocess.Popen(
            ["sh", "-c", "while head -c 65536 /dev/zero >> file; do :; done"], cwd=disk.folder, stderr=subprocess.DEVNULL
        )
        try:
            disk.fill()
        finally:
            writer.wait(120)
        assert disk.free_bytes < 65536
