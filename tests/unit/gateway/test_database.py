"""How long a transaction waits: one patience for the threads of this process and for the file together."""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.errors import UnavailableError
from producers.gateway import database
from producers.gateway.database import Database
from producers.gateway.limit import Limit
from producers.gateway.loop_state import THREADS, LoopState
from producers.gateway.state import State

SECONDS = 20.0
LIMIT = Limit(5, 1_000)


def test_who_waits_for_another_thread_s_transaction_is_told_so_in_the_end(tmp_path: Path) -> None:
    state = State(tmp_path / "state.sqlite", patience_seconds=0.05)
    with ThreadPoolExecutor(1) as pool:
        with state._database.writing():
            waiting = pool.submit(state.charge, "key", 1, LIMIT, 1)
            with pytest.raises(UnavailableError, match=r"state\.sqlite is held by another process for over 0\.05 s"):
                waiting.result(SECONDS)
        assert state.charge("key", 1, LIMIT, 1).allowed


def test_the_file_is_waited_for_as_long_as_the_threads_have_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, hour = tmp_path / "state.sqlite", 3_600.0
    one, instants = Database(path, hour), iter([0.0])

    def waited(_seconds: float) -> None:
        raise AssertionError("there is no time left")

    # The lock is asked for at 0, and had an hour later: the patience is over.
    clock = SimpleNamespace(monotonic=lambda: next(instants, hour), sleep=waited)
    monkeypatch.setattr(database, "time", clock)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="held by another process"), one.writing():
        pass
    other.execute("ROLLBACK")
    other.close()


def test_transactions_that_wait_for_a_thread_are_cancelled_when_the_state_is_closed(tmp_path: Path) -> None:
    async def scenario() -> None:
        state = State(tmp_path / "state.sqlite", patience_seconds=3_600.0)  # whoever waits for the lock waits until the end
        ours = LoopState(state)
        with state._database.writing():
            asked = [asyncio.create_task(ours.charge("key", 0, LIMIT)) for _ in range(2 * THREADS)]
            async with asyncio.timeout(SECONDS):
                while ours._threads._work_queue.qsize() != THREADS:  # each thread has taken one
                    await asyncio.sleep(0)
            closing = asyncio.create_task(asyncio.to_thread(ours.close))
            _, pending = await asyncio.wait(asked[THREADS:], timeout=SECONDS)
            assert not pending
        async with asyncio.timeout(SECONDS):
            await closing
            told = await asyncio.gather(*asked, return_exceptions=True)
        assert [isinstance(one, asyncio.CancelledError) for one in told] == [False] * THREADS + [True] * THREADS

    asyncio.run(scenario())
