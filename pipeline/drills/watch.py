"""Looks at a drill from outside: positions about twice a second, a sample a second, which processes ended and came back."""

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from xmlrpc.client import Error as RpcError

from deploy.embedded.supervisord import End
from pipeline.drills.oracles.watch import PositionsWatch
from pipeline.drills.told import Sample

if TYPE_CHECKING:
    from pipeline.drills.ground import Ground

EVERY_SECONDS = 0.2
"""Between two looks, each of which takes some time itself."""
SAMPLE_SECONDS = 0.9


class Watch:
    """Watches in a thread of its own from `start` to `close`."""

    def __init__(self, ground: "Ground") -> None:
        self._ground = ground
        self.positions = PositionsWatch(ground.settings)
        self.samples: list[Sample] = []
        self.peak_mb: dict[str, int] = {}
        self.ends: list[End] = []
        """Processes that ended by themselves, or by a signal of the drill's."""
        self._guests: dict[str, int] = {}
        self._pids: dict[str, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._pids = self._ground.stack.pids()
        self._thread.start()

    def add(self, name: str, pid: int) -> None:
        """Look at this process, too, which the supervisor does not know."""
        self._guests[name] = pid

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def close(self) -> None:
        self.stop()
        self.positions.close()

    def _run(self) -> None:
        due = 0.0
        while not self._over.wait(EVERY_SECONDS):
            self.positions.look()
            self._see_processes()
            if time.monotonic() >= due:
                due = time.monotonic() + SAMPLE_SECONDS
                self._sample()

    def _see_processes(self) -> None:
        with suppress(OSError, RpcError):  # the supervisor is asked again in a moment
            for end in self._ground.stack.ends():
                self._ground.say("seen", f"{end.name} ended ({end.how})")
                self.ends.append(end)
            pids = self._ground.stack.pids()
            for name, pid in pids.items():
                if self._pids.get(name, pid) != pid:
                    self._ground.say("seen", f"{name} is started again ({pid})")
                self._pids[name] = pid

    def _sample(self) -> None:
        memory = {}
        for name, pid in (self._pids | self._guests).items():
            found = memory_mb(pid)
            if found:
                memory[name] = found[0]
                self.peak_mb[name] = max(self.peak_mb.get(name, 0), found[1])
        seen = self.positions
        self.samples.append(Sample(self._ground.second(), seen.produced, seen.applied, seen.stored, memory))


def memory_mb(pid: int) -> tuple[int, int] | None:
    """Resident memory of a process now, and the highest there was, MiB; None where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    values = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    if "VmRSS" not in values:
        return None  # ended, but not yet waited for
    return int(values["VmRSS"].split()[0]) >> 10, int(values["VmHWM"].split()[0]) >> 10
