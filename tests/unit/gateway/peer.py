"""Another process on the same state: `python -m tests.unit.gateway.peer PATH WHAT …`.

It says `ready`, waits for a line, does what it was told in several threads at once, and prints what came of it as JSON.
`hold` says so within a transaction, or with a call in flight, and stands there until it is killed or told to go on.
"""

import json
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from producers.gateway.database import Database
from producers.gateway.limit import Limit
from producers.gateway.state import State

NOW = 1_000_000
LEASE = 30_000
HOUR = 3_600_000


def together(threads: int, work: Callable[[int], Any]) -> list[Any]:
    """The work of each thread, all begun at once."""
    barrier = threading.Barrier(threads)

    def one(number: int) -> Any:
        barrier.wait(30)
        return work(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(threads)))


def charge(state: State, threads: int, calls: int, limit: int, ahead_ms: int) -> int:
    """Events that were admitted of `threads` times so many calls of one event, at a clock so far ahead."""

    def work(_number: int) -> int:
        window = Limit(limit, HOUR)
        return sum(state.charge("key", 1, window, NOW + ahead_ms + call).allowed for call in range(calls))

    return sum(together(threads, work))


def begin(state: State, threads: int, name: str) -> list[str]:
    """What each thread was told that began the same call."""
    return together(
        threads,
        lambda number: type(state.begin("key", "call", b"digest", f"{name}-{number}", NOW, LEASE)).__name__,
    )


def hold(what: str, path: Path) -> None:
    """A call in flight, or a transaction that has written and isn't committed."""
    if what == "call":
        State(path).begin("key", "call", b"digest", "peer", NOW, LEASE)
        say("holding")
        sys.stdin.readline()
        return
    with Database(path).writing() as connection:
        connection.execute("INSERT INTO charges VALUES ('key', ?, 0, 5)", (NOW,))
        say("holding")
        sys.stdin.readline()


def say(what: Any) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    path, what, *numbers = sys.argv[1:]
    if what == "hold":
        hold(numbers[0], Path(path))
        return
    state = State(Path(path))
    say("ready")
    sys.stdin.readline()
    if what == "charge":
        threads, calls, limit, ahead_ms = map(int, numbers)
        say(charge(state, threads, calls, limit, ahead_ms))
    else:
        say(begin(state, int(numbers[0]), numbers[1]))
    state.close()


if __name__ == "__main__":
    main()
