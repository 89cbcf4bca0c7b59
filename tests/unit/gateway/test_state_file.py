"""The state's file: private, small, and in a sentence where it is damaged or the disk won't."""

import json
import random
import sqlite3
import stat
import subprocess
import uuid
from pathlib import Path

import pytest

from pipeline.drills.small_disk import small_disk
from pipeline.errors import RefusedError, UnavailableError
from producers.gateway import idempotency
from producers.gateway.idempotency import Begun, Stored
from producers.gateway.limit import Limit
from producers.gateway.state import State
from tests.small_disks import needs_mounts

LIMIT = Limit(100, 50)
NOW = 1_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway" / "state.sqlite"


def rows(path: Path, table: str = "charges") -> int:
    with sqlite3.connect(path) as connection:
        (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    connection.close()
    return int(count)


def test_the_files_are_their_owner_s_alone_also_one_that_was_made_wider(path: Path) -> None:
    path.parent.mkdir()
    path.touch(0o644)
    state = State(path)
    state.charge("key", 1, LIMIT, NOW)
    assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {
        "state.sqlite": 0o600,
        "state.sqlite-wal": 0o600,
        "state.sqlite-shm": 0o600,
    }


def test_charges_of_one_millisecond_are_one_row_and_what_left_the_window_goes(path: Path) -> None:
    state = State(path)
    for _ in range(10):
        state.charge("key", 3, LIMIT, NOW)
    assert rows(path) == 1
    for at in range(300):
        assert state.charge("key", 1, LIMIT, NOW + 50 + at).allowed
    assert rows(path) == LIMIT.window_ms


def test_keys_don_t_share_their_limits(path: Path) -> None:
    state = State(path)
    assert state.charge("one", LIMIT.events, LIMIT, NOW).allowed
    assert not state.charge("one", 1, LIMIT, NOW).allowed
    assert state.charge("other", LIMIT.events, LIMIT, NOW).remaining == 0


def test_a_refused_call_does_not_forget_the_newest_instant_so_a_clock_that_goes_back_admits_nothing(path: Path) -> None:
    """All is charged at NOW; a call that is too large comes much later, then the clock goes back to NOW."""
    state = State(path)
    assert state.charge("key", LIMIT.events, LIMIT, NOW).allowed
    assert not state.charge("key", LIMIT.events + 1, LIMIT, NOW + 10_000).allowed
    assert not state.charge("key", 1, LIMIT, NOW - 10).allowed


def test_a_purge_forgets_more_than_it_deletes_in_one_transaction(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.gateway.state.PURGE_ROWS", 7)
    state, day = State(path), 86_400_000
    for number in range(30):
        assert state.begin("key", str(number), b"digest", f"owner-{number}", NOW, 10) == Begun()
        state.finish("key", str(number), f"owner-{number}", 200, b"", NOW + number)
        state.charge("key" + "abc"[number % 3], 1, Limit(100, day), NOW + number)
    assert state.purge(NOW + 1_009, 1_000) == 10
    assert (rows(path, "calls"), rows(path)) == (20, 30)
    assert state.purge(NOW + day + 19, 1_000) == 20
    assert (rows(path, "calls"), rows(path)) == (0, 10)


def test_what_was_stored_is_there_after_a_new_start_to_the_byte(path: Path) -> None:
    state, body = State(path), bytes(range(256))
    state.begin("key", "call", b"digest", "owner", NOW, 10)
    assert state.finish("key", "call", "owner", 207, body, NOW)
    state.close()
    assert State(path).begin("key", "call", b"digest", "another", NOW, 10) == Stored(207, body)


def test_an_answer_takes_a_third_of_its_size_at_most_and_comes_back_as_it_was(path: Path) -> None:
    state, some = State(path), random.Random(1)
    items = [
        {"index": index, "status": "accepted", "event_id": str(uuid.UUID(int=some.getrandbits(128))), "offset": index}
        for index in range(1_000)
    ]
    body = json.dumps(items).encode()
    state.begin("key", "call", b"digest", "owner", NOW, 10)
    assert state.finish("key", "call", "owner", 202, body, NOW)
    assert state.begin("key", "call", b"digest", "another", NOW, 10) == Stored(202, body)
    with sqlite3.connect(path) as connection:
        (stored,) = connection.execute("SELECT length(body) FROM calls").fetchone()
        connection.execute("UPDATE calls SET body = x'00'")
    connection.close()
    assert stored < len(body) / 3
    with pytest.raises(RefusedError, match=r"is damaged.*: stop the gateway, delete"):
        state.begin("key", "call", b"digest", "another", NOW, 10)


def test_a_purge_deletes_no_more_bytes_in_one_transaction_than_one_answer_beyond_its_bound(path: Path) -> None:
    state, some = State(path), random.Random(1)
    sizes = [100_000, 700_000, 600_000, 10, 3_000_000, 20, 0]
    for number, size in enumerate(sizes):
        state.begin("key", str(number), b"digest", "owner", NOW, 10)
        state.finish("key", str(number), "owner", 202, some.randbytes(size), NOW + number)
    database, deleted = state._database, []
    while not deleted or deleted[-1]:
        with database.writing() as connection:
            deleted.append(idempotency.purge(connection, NOW + 10, 1_000, 1_000_000))
    # 100,000 + 700,000 + 600,000 | 10 + 3,000,000 | 20 + 0
    assert deleted == [3, 2, 2, 0]


@pytest.mark.parametrize("damage", ["no database", "a torn page", "another program's", "another version's"])
def test_a_file_that_is_not_the_gateway_s_state_is_refused_with_the_remedy(path: Path, damage: str) -> None:
    state = State(path)
    for at in range(500):
        state.begin("key", str(at), b"digest", "owner", NOW, 10)
        state.charge("key", 1, Limit(1_000, 1_000), NOW + at)
    state.close()
    if damage == "no database":
        path.write_bytes(b"no database at all" * 1_000)
    elif damage == "a torn page":
        whole = path.read_bytes()
        path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA application_id = 7" if damage == "another program's" else "PRAGMA user_version = 9")
        connection.close()
    with pytest.raises(RefusedError, match=r"state\.sqlite (is damaged|was written by another).*: stop the gateway, delete"):
        State(path).charge("key", 1, LIMIT, NOW)


def test_a_foreign_database_is_left_as_it_was(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(RefusedError, match="another program"):
        State(path)
    assert path.read_bytes() == before


def test_a_place_that_can_t_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "state.sqlite", tmp_path):
        with pytest.raises(UnavailableError, match="can't be written"):
            State(path)


@needs_mounts
def test_a_full_disk_is_said_undoes_the_call_and_is_over_when_there_is_room(tmp_path: Path) -> None:
    large = random.Random(1).randbytes(300_000)
    with small_disk(tmp_path / "disk", 4) as disk:
        state = State(disk.folder / "state.sqlite")
        state.begin("key", "call", b"digest", "owner", NOW, 10)
        disk.fill()
        with pytest.raises(UnavailableError, match="can't be written"):
            state.finish("key", "call", "owner", 200, large, NOW)
        disk.free()
        assert state.finish("key", "call", "owner", 200, large, NOW)
        assert state.begin("key", "call", b"digest", "another", NOW, 10) == Stored(200, large)
        state.close()


@needs_mounts
def test_a_disk_that_may_only_be_read_is_said(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        State(disk.folder / "state.sqlite").close()
        subprocess.run(["mount", "-o", "remount,ro", str(disk.folder)], check=True, timeout=10)
        for name in ("state.sqlite", "new.sqlite"):
            with pytest.raises(UnavailableError, match=f"{name} can't be written"):
                State(disk.folder / name)
