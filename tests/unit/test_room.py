"""Room on a disk: asked as the system tells it, waited for on a small disk that is filled and freed."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from pipeline.drills.small_disk import small_disk
from pipeline.errors import UnavailableError
from pipeline.room import free_bytes, require_room, wait_for_room
from tests.small_disks import needs_mounts

MIB = 1 << 20


def test_room_is_what_the_system_says_also_of_a_folder_that_is_not_made_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {tmp_path: os.statvfs(tmp_path)}  # once: others write meanwhile
    monkeypatch.setattr(os, "statvfs", told.__getitem__)
    assert free_bytes(tmp_path / "a" / "b") == shutil.disk_usage(tmp_path).free
    assert not (tmp_path / "a").exists()


def test_too_little_room_names_the_folder_who_waits_and_for_how_much(tmp_path: Path) -> None:
    require_room("the store", tmp_path, 1)
    with pytest.raises(
        UnavailableError, match=r"is full \(\d+ MiB free\): the store waits until 1073741824 MiB are free"
    ) as met:
        require_room("the store", tmp_path, 1 << 50)
    assert f"the disk under {tmp_path} is full" in str(met.value)


@needs_mounts
def test_who_waits_for_room_says_it_once_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    said: list[str] = []
    with small_disk(tmp_path / "disk", 8) as disk:
        disk.fill(MIB)
        told, over = threading.Event(), threading.Event()

        def say(line: str) -> None:
            said.append(line)
            told.set()

        def wait() -> None:
            wait_for_room("the broker", disk.folder, 4 * MIB, say)
            over.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert told.wait(60)
        assert not over.wait(1.5), "went on without room"
        disk.free()
        assert over.wait(60)
        waiting.join()
    assert len(said) == 1
