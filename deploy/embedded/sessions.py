"""Processes of one session (setsid): all descendants of a process that leads it, whatever group they moved to."""

import ctypes
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_LOOK_SECONDS = 0.02


def die_with_parent() -> Callable[[], None] | None:
    """For Popen's preexec_fn: SIGTERM to the child when this process is gone, even by kill -9. None where unknown."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # loaded here: between fork and exec as little as possible is done
    set_death_signal = 1  # PR_SET_PDEATHSIG
    return lambda: libc.prctl(set_death_signal, signal.SIGTERM)


def members(session: int) -> list[int]:
    """Pids of the session's living processes (zombies aside: they wait to be reaped, and nothing can be done to them)."""
    return sorted(pid for pid in _all_pids() if _session_of(pid) == session and not _is_zombie(pid))


def end_session(session: int, seconds: float) -> list[int]:
    """SIGKILL whatever is left in the session; the pids that are still there after `seconds`: none, normally.

    The seconds are those that it slept: where this process stands still, the killed ones get no less time for it.
    """
    for _ in range(math.ceil(seconds / _LOOK_SECONDS)):
        if not (left := members(session)):
            return []
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_LOOK_SECONDS)  # nothing tells when somebody else's child is gone
    return members(session)


def _all_pids() -> list[int]:
    if Path("/proc/self").exists():
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    listed = subprocess.run(["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=True)
    return [int(pid) for pid in listed.stdout.split()]


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False
