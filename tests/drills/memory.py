"""How much memory processes take while a block runs, from /proc."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.drills.watch import memory_mb

EVERY_SECONDS = 0.2


class Watched:
    """Processes by name; their resident memory in MB, the kernel's own high-water mark and a curve of samples."""

    def __init__(self) -> None:
        self._pids: dict[str, int] = {}
        self.peak: dict[str, int] = {}
        self.curve: dict[str, list[int]] = {}

    def add(self, name: str, pid: int) -> None:
        self._pids[name] = pid

    def look(self) -> None:
        for name, pid in self._pids.items():
            if found := memory_mb(pid):
                now, peak = found
                self.peak[name] = max(self.peak.get(name, 0), peak)
                self.curve.setdefault(name, []).append(now)

    def table(self) -> str:
        """A line a process: highest and median resident memory, MB."""
        lines = [f"{'process':10} {'peak MB':>8} {'median MB':>10}"]
        for name, peak in self.peak.items():
            samples = sorted(self.curve[name])
            lines.append(f"{name:10} {peak:8} {samples[len(samples) // 2]:10}")
        return "\n".join(lines)


@contextmanager
def watching() -> Iterator[Watched]:
    watched, over = Watched(), threading.Event()

    def run() -> None:
        while not over.wait(EVERY_SECONDS):
            watched.look()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield watched
    finally:
        over.set()
        thread.join()


def child_running(text: str) -> int:
    """The child of this process whose command line holds `text`."""
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            if text in Path(f"/proc/{pid}/cmdline").read_text():
                return int(pid)
    raise AssertionError(f"no child runs {text}")
