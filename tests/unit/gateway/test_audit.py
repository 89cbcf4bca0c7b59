"""The audit log: a line a refusal, bounded, shared, without secrets, and never in the way."""

import json
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from pipeline.drills.small_disk import small_disk
from pipeline.http import keys
from producers.gateway.audit import Audit
from tests.small_disks import needs_mounts

AT = 1_795_682_250_123


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[Audit]:
    audit = Audit(tmp_path / "gateway")
    yield audit
    audit.close()


def refuse(audit: Audit, reason: str = "over the limit", path: str = "/v1/events", key_id: str | None = "0123abcd") -> None:
    audit.refused(AT, "127.0.0.1:5000", key_id, "POST", path, 429, reason)


def lines(folder: Path, name: str = "audit.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def test_a_refusal_is_one_json_line_in_a_file_of_its_owner_s(audit: Audit, tmp_path: Path) -> None:
    refuse(audit)
    refuse(audit, "no key\nforged: line", key_id=None)
    assert lines(tmp_path / "gateway") == [
        {
            "at": "2026-11-26T08:37:30.123Z",
            "remote": "127.0.0.1:5000",
            "key": key_id,
            "method": "POST",
            "path": "/v1/events",
            "status": 429,
            "reason": reason,
        }
        for key_id, reason in (("0123abcd", "over the limit"), (None, "no key\nforged: line"))
    ]
    assert stat.S_IMODE((tmp_path / "gateway" / "audit.jsonl").stat().st_mode) == 0o600


def test_no_secret_reaches_the_log_wherever_a_caller_puts_it(audit: Audit, tmp_path: Path) -> None:
    _, secret = keys.create(tmp_path / "keys.json", "anna", ["publish"], now_ms=0)
    hidden = secret[12:]
    encoded = [f"/v1/lk%5F{secret[3:]}/x", f"/v1/lk%25255f{secret[3:30]}", f"/v1/{secret[:11]}%5f{hidden}"]
    for place in (f"/v1/{secret}", f"/v1?key={secret}", f"/v1/{secret[:30]}", f"/v1/{hidden}", *encoded):
        refuse(audit, path=place)
    refuse(audit, reason=f"the key {secret} is unknown")
    audit.refused(AT, secret, secret, secret, "/", 400, f"Bearer {secret.upper()}")
    text = (tmp_path / "gateway" / "audit.jsonl").read_text()
    assert len(text.splitlines()) == 9
    assert hidden[:12] not in text
    assert hidden[:12].upper() not in text.upper()
    assert secret[:11] in text, "the id may be shown"


def test_a_caller_can_t_write_a_long_line(audit: Audit, tmp_path: Path) -> None:
    refuse(audit, reason="x" * 100_000, path="/" + "y" * 100_000)
    assert len((tmp_path / "gateway" / "audit.jsonl").read_bytes()) < 2_000


def test_files_are_bounded_and_the_newest_lines_of_all_who_share_them_are_kept(tmp_path: Path) -> None:
    audits = [Audit(tmp_path, max_bytes=2_000, kept=2) for _ in range(3)]
    for number in range(90):
        refuse(audits[number % 3], str(number))
    names = ["audit.2.jsonl", "audit.1.jsonl", "audit.jsonl"]
    assert {file.name for file in tmp_path.glob("*.jsonl")} == {*names}
    assert all((tmp_path / name).stat().st_size <= 2_000 for name in names)
    kept = [int(line["reason"]) for name in names for line in lines(tmp_path, name)]
    assert kept == list(range(90 - len(kept), 90))
    assert len(kept) > 20


def test_lines_of_threads_don_t_mix(tmp_path: Path) -> None:
    audits = [Audit(tmp_path) for _ in range(2)]
    threads = [
        threading.Thread(target=lambda audit=audit: [refuse(audit, "r" * 400) for _ in range(100)])
        for audit in audits
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(lines(tmp_path)) == 400


def test_half_a_line_that_a_full_disk_left_harms_no_other(audit: Audit, tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "audit.jsonl").write_text('{"at": "2026-')
    refuse(audit)
    _half, whole = (tmp_path / "gateway" / "audit.jsonl").read_text().splitlines()
    assert json.loads(whole)["status"] == 429


def test_what_can_t_be_written_is_said_once_and_again_after_it_worked(tmp_path: Path) -> None:
    folder = tmp_path / "gateway"
    folder.touch()
    audit = Audit(folder)
    with capture_logs() as said:
        for _ in range(3):
            refuse(audit)
        assert [entry["log_level"] for entry in said] == ["warning"]
        folder.unlink()
        refuse(audit)
        assert len(lines(folder)) == 1
        (folder / "audit.jsonl").unlink()
        folder.rmdir()
        folder.touch()
        for _ in range(3):
            refuse(audit)
        assert len(said) == 2


@needs_mounts
def test_a_full_disk_is_said_once_and_the_log_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk, capture_logs() as said:
        audit = Audit(disk.folder)
        disk.fill()
        for _ in range(5):
            refuse(audit)
        assert len(said) == 1
        disk.free()
        refuse(audit, "there is room")
        assert lines(disk.folder)[-1]["reason"] == "there is room"
        audit.close()
