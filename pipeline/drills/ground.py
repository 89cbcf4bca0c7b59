"""The ground of a drill: broker, two classify workers, rank and store under the supervisor, and hands to break them with."""

import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from signal import SIGKILL, Signals
from typing import Any, cast

from deploy.embedded.ports import free_ports
from deploy.embedded.programs import Program, broker_program, environment, log_file, ready_file
from deploy.embedded.sessions import die_with_parent
from deploy.embedded.stack import Stack
from deploy.embedded.supervise import run_programs
from pipeline import admin
from pipeline import settings as pipeline_settings
from pipeline.drills.breaches import BREACHES, stages_of
from pipeline.drills.crash_points import Point, Stage
from pipeline.drills.drill import Drill
from pipeline.drills.switches import Fired, arm, fired
from pipeline.drills.told import Kind, Moment, Verdict
from pipeline.drills.watch import Watch
from pipeline.drills.worker import command
from pipeline.errors import ListeningError
from pipeline.settings import Settings

CLASSIFY = ("classify-1", "classify-2")
WORKERS = (*CLASSIFY, "rank", "store")
SETTINGS: dict[str, Any] = {
    "run": "drill",
    "session_seconds": 6,
    "fetch_bytes": 1 << 16,
    "window_seconds": 600,
    "top_k": 20,
}
"""Of every drill: a short session, small fetches so that there is a half-way to be killed at, short windows."""
BACK_SECONDS = 120.0
PROGRESS = 500
"""Source offsets that get outcomes until all are taken to be at work again."""
LOOK_SECONDS = 0.1


class DrillError(ListeningError):
    """The drill itself could not be done as it was meant; its verdict would mean nothing."""


class Ground:
    """One drill's processes, files and clock. Made by `grounded`."""

    def __init__(self, settings: Settings, stack: Stack, seed: int, folder: Path, around: Any) -> None:
        self.settings, self.stack, self.seed, self.folder = settings, stack, seed, folder
        self.random = random.Random(seed)
        self.moments: list[Moment] = []
        self.verdicts: list[Verdict] = []
        """What the script itself judges, beside the oracles."""
        self.figures: dict[str, int | float | str] = {}
        self.resets: list[int] = []
        """Epoch ms at which the drill itself moved committed offsets."""
        self.load: subprocess.Popen[str] | None = None
        self.around = around
        """What the drill's `around` made."""
        self._began, self._guests = time.monotonic(), list[subprocess.Popen[bytes]]()
        self._writing, self._applied = threading.Lock(), 0
        self.watch = Watch(self)

    def begin(self) -> None:
        """The clock starts here."""
        self._began = time.monotonic()

    def second(self) -> float:
        return round(time.monotonic() - self._began, 2)

    def say(self, kind: Kind, what: str) -> None:
        with self._writing:
            self.moments.append(Moment(self.second(), kind, what))

    # ─── what a script waits for ───

    def until(self, what: str, condition: Callable[[], bool], seconds: float = BACK_SECONDS) -> float:
        """Return, with the seconds it took, as soon as the condition holds. Raises DrillError naming `what`."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                raise DrillError(f"{what}: not within {seconds:.0f} s")
            time.sleep(LOOK_SECONDS)
        return time.monotonic() - began

    def hold(self, seconds: float) -> None:
        """Let the fault last. Its length is what is drilled: there is no condition to wait for."""
        time.sleep(seconds)

    def progressed(self, offsets: int = PROGRESS, seconds: float = BACK_SECONDS) -> None:
        """Return when so many more source offsets have outcomes than now."""
        before = self.applied()
        self.until("outcomes go on", lambda: self.applied() >= before + offsets, seconds)

    def applied(self) -> int:
        """Source offsets that have outcomes, as last seen: also while the broker does not answer."""
        self._applied = self.watch.positions.applied or self._applied
        return self._applied

    def back(self, *names: str, than: Mapping[str, int] | None = None, seconds: float = BACK_SECONDS) -> None:
        """Return when these are up and ready; `than`: with another pid than this one."""
        for name in names:
            old = (than or {}).get(name)
            self.until(f"{name} is back", lambda name=name, old=old: self.ready(name) not in (None, old), seconds)  # type: ignore[misc]

    def restarted(self, name: str, than: int, seconds: float = BACK_SECONDS) -> None:
        """Return when the supervisor has started it again."""
        self.until(f"{name} is started again", lambda: self.stack.pids().get(name) not in (None, than), seconds)

    def loaded(self) -> None:
        """Raise DrillError where the load is over: what is done now would meet no events."""
        if self.load is None or self.load.poll() is not None:
            raise DrillError("the load ended before the fault: nothing was at stake")

    # ─── what a script does ───

    def pid(self, name: str) -> int:
        """Raises DrillError where it is not up."""
        pid = self.stack.pids().get(name)
        if pid is None:
            raise DrillError(f"{name} is not up")
        return pid

    def ready(self, name: str) -> int | None:
        """The pid of a process that is up and ready, None while the supervisor is busy with it, too."""
        try:
            return self.stack.ready(name)
        except OSError:
            return None

    def broker_back(self, seconds: float = BACK_SECONDS) -> None:
        """Return when the broker answers."""
        began = time.monotonic()
        admin.wait_for_broker(self.settings, seconds)
        self.say("seen", f"the broker answers after {time.monotonic() - began:.1f} s")

    def send(self, name: str, number: Signals) -> int:
        """Send it; the pid it went to."""
        pid = self.pid(name)
        os.kill(pid, number)
        self.say("fault", f"{number.name} to {name} ({pid})")
        return pid

    def kill(self, *names: str) -> dict[str, int]:
        """kill -9, all before any can be back; their former pids."""
        return {name: self.send(name, SIGKILL) for name in names}

    @contextmanager
    def trap(self, name: str, point: Point, number: Signals = SIGKILL) -> Iterator[None]:
        """The process, or the first of those the pattern fits, sends itself a signal when it reaches the point next. What
        makes it go there is done in the block; at its end that has happened. Raises DrillError where it does not."""
        before = len(fired(self.settings, name))
        arm(self.settings, name, point, number)
        self.say("fault", f"armed: {number.name} to {name} {point}")
        yield
        self.until(f"{name} comes {point}", lambda: len(fired(self.settings, name)) > before)
        last: Fired = fired(self.settings, name)[-1]
        self.say("seen", f"{last.name} ({last.pid}) met {number.name} {point}")

    def stop(self, *names: str) -> None:
        """Stop in order, and leave down."""
        for name in names:
            self.say("fault", f"{name} is stopped")
            self.stack.stop(name)

    def start(self, *names: str) -> None:
        """Start what was stopped, return when it is ready."""
        for name in names:
            self.say("fault", f"{name} is started")
            self.stack.start(name)
        self.back(*names)

    def join(self, stage: Stage, name: str, run: Settings | None = None) -> "subprocess.Popen[bytes]":
        """One more worker, outside the supervisor, of this run or another; ready when its ready file says so (`joined`)."""
        settings = run or self.settings
        log = log_file(settings, name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as written:
            guest = spawn(settings, command(stage, name), stdout=written, stderr=written)
        self._guests.append(guest)
        self.watch.add(name, guest.pid)
        return guest

    def side(self, run: str) -> Settings:
        """Another run on the same broker."""
        changes = {"run": run, "kafka_bootstrap": self.settings.bootstrap, "store_port": free_ports(1)[0]}
        return pipeline_settings.load(**(self.settings.model_dump() | changes))

    def joined(self, name: str, guest: "subprocess.Popen[bytes]") -> bool:
        """Whether a guest of this run is ready."""
        file = ready_file(self.settings, name)
        return file.exists() and file.read_text() == str(guest.pid)

    def log(self, name: str) -> str:
        """What a process has written."""
        return self.log_of(self.settings, name)

    def log_of(self, run: Settings, name: str) -> str:
        """What a process of this run has written."""
        return log_file(run, name).read_text(errors="replace")

    def end_guests(self) -> None:
        """Kill what joined and is still there."""
        for guest in self._guests:
            if guest.poll() is None:
                guest.kill()
            guest.wait(10)


def spawn(settings: Settings, command: Sequence[str], **streams: Any) -> "subprocess.Popen[Any]":
    """A process with these settings, in a session of its own, that does not outlive this one. `streams`: as Popen has
    them."""
    return subprocess.Popen(
        command,
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent(),
        **streams,
    )


@contextmanager
def grounded(drill: Drill, seed: int, folder: Path, progress: Callable[[str], None]) -> Iterator[Ground]:
    """The ground of a drill in a folder of its own, with ports of its own, ready; nothing is left running afterwards.

    Raises ListeningError as `run_programs` does.
    """
    shutil.rmtree(folder, ignore_errors=True)
    with ExitStack() as stack:
        found, around = stack.enter_context(drill.around(folder)) if drill.around else ({}, None)
        broker, controller, store = free_ports(3)
        ports = {"kafka_port": broker, "kafka_controller_port": controller, "store_port": store}
        settings = pipeline_settings.load(**(SETTINGS | ports | found | {"data_dir": folder} | dict(drill.settings)))
        running = stack.enter_context(run_programs(settings, programs(settings, drill.breach), progress))
        ground = Ground(settings, running, seed, folder, around)
        stack.callback(ground.end_guests)
        stack.callback(ground.watch.close)
        yield ground


def programs(settings: Settings, breach: str = "") -> list[Program]:
    """The broker, and a worker of each name."""
    workers = []
    for name in WORKERS:
        stage = cast(Stage, name.partition("-")[0])
        taken_back = breach if breach in BREACHES and stage in stages_of(breach) else None
        workers.append(Program(name, command(stage, name, taken_back), settings.bootstrap, (log_file(settings, name),)))
    return [broker_program(settings), *workers]


def require(condition: bool, sentence: str) -> None:
    """Raise DrillError where a drill did not come to what it is for."""
    if not condition:
        raise DrillError(sentence)
