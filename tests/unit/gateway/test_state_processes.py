"""One state, several processes: real ones, several threads each, some of them killed."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.sessions import die_with_parent
from pipeline.errors import UnavailableError
from producers.gateway.idempotency import Begun, InFlight, Stored
from producers.gateway.limit import Limit
from producers.gateway.state import State
from tests.unit.gateway.peer import HOUR, LEASE, NOW

LIMIT = Limit(5, HOUR)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway" / "state.sqlite"


@contextmanager
def peer(path: Path, *what: object) -> Iterator[subprocess.Popen[str]]:
    """Another process that has said its first word; killed at the end, if it is still there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.gateway.peer", str(path), *map(str, what)],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent(),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> Any:
    assert process.stdout
    return json.loads(process.stdout.readline())


def go(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()


def killed(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)


@pytest.mark.parametrize("ahead_ms", [0, 2_000], ids=["of one clock", "whose clocks differ by two seconds"])
def test_two_processes_that_charge_one_key_are_admitted_the_limit_together_to_the_event(path: Path, ahead_ms: int) -> None:
    threads, calls, limit = 3, 120, 500
    with (
        peer(path, "charge", threads, calls, limit, 0) as one,
        peer(path, "charge", threads, calls, limit, ahead_ms) as other,
    ):
        assert said(one) == said(other) == "ready"
        go(one, other)
        assert said(one) + said(other) == limit < 2 * threads * calls


def test_of_a_hundred_that_begin_one_call_at_once_in_two_processes_one_has_it(path: Path) -> None:
    with peer(path, "begin", 50, "one") as one, peer(path, "begin", 50, "other") as other:
        assert said(one) == said(other) == "ready"
        go(one, other)
        assert Counter(said(one) + said(other)) == {"Begun": 1, "InFlight": 99}


def test_a_process_that_is_killed_leaves_a_lease_which_another_takes_over_at_its_end(path: Path) -> None:
    with peer(path, "hold", "call") as process:
        assert said(process) == "holding"
        killed(process)
    state = State(path)
    assert state.begin("key", "call", b"digest", "mine", NOW + LEASE - 1, LEASE) == InFlight(1)
    assert state.begin("key", "call", b"digest", "mine", NOW + LEASE, LEASE) == Begun()
    assert not state.renew("key", "call", "peer", NOW + LEASE, LEASE)
    assert not state.finish("key", "call", "peer", 200, b"the killed one's", NOW + LEASE)
    assert state.finish("key", "call", "mine", 201, b"mine", NOW + LEASE)
    assert state.begin("key", "call", b"digest", "third", NOW + LEASE, LEASE) == Stored(201, b"mine")


def test_what_a_killed_process_had_not_committed_never_happened(path: Path) -> None:
    with peer(path, "hold", "transaction") as process:
        assert said(process) == "holding"
        killed(process)
    assert State(path).charge("key", 5, LIMIT, NOW).allowed


def test_who_meets_another_s_transaction_waits_for_it_and_counts_what_it_charged(path: Path) -> None:
    state, verdicts = State(path, patience_seconds=60.0), []
    with peer(path, "hold", "transaction") as process:
        assert said(process) == "holding"
        waiting = threading.Thread(target=lambda: verdicts.append(state.charge("key", 1, LIMIT, NOW)))
        waiting.start()
        go(process)
        waiting.join(60)
    assert [verdict.allowed for verdict in verdicts] == [False], "five were charged by the other"


def test_a_transaction_that_never_ends_is_named_and_holds_nobody_for_ever(path: Path) -> None:
    state = State(path, patience_seconds=0.05)
    with peer(path, "hold", "transaction") as process:
        assert said(process) == "holding"
        with pytest.raises(UnavailableError, match=r"state\.sqlite is held by another process for over 0\.05 s"):
            state.charge("key", 1, LIMIT, NOW)
        killed(process)
    assert state.charge("key", 1, LIMIT, NOW).allowed
