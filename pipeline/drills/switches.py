"""A drill's switches: files in run_dir/drill/, set by the drill and looked at by worker processes while they run.

    armed/after-fetch@classify*  ── one process renames it ──►  fired/<ns since the epoch>@after-fetch@classify-2@<pid>
    classify-2.slow              {"factor": 10.0, "seconds": 0.0}
    classify-2.settings.json     settings of this process alone, read at its start

A name may be a pattern (`classify*`) where a crash point is armed: whoever reaches it first takes it, and nobody else.
"""

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pipeline.drills.crash_points import POINTS, Point
from pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Armed:
    """`name`: of a process, or a pattern."""

    name: str
    point: Point


@dataclass(frozen=True, slots=True)
class Fired:
    """A process that ended itself at a crash point; `at`: seconds since the epoch."""

    at: float
    name: str
    point: Point
    pid: int


@dataclass(frozen=True, slots=True)
class Slowness:
    """A fetch takes `factor` times as long, and `seconds` more."""

    factor: float
    seconds: float

    def pause(self, took: float) -> float:
        """Seconds to wait after a fetch that took this long."""
        return max(0.0, (self.factor - 1) * took) + self.seconds


def arm(settings: Settings, name: str, point: Point, number: signal.Signals = signal.SIGKILL) -> None:
    """The process `name`, or the first of those that the pattern fits, ends (or what else the signal does) when it reaches
    the point next; once."""
    folder = _folder(settings, "armed")
    folder.mkdir(parents=True, exist_ok=True)
    new = settings.run_dir / "drill" / f"{number.name}.new"
    new.write_text(number.name)
    new.replace(folder / _file_name(Armed(name, point)))


def armed(settings: Settings) -> list[Armed]:
    """What is armed and has not fired."""
    return [found for _, found in _armed(settings)]


def disarm(settings: Settings, name: str, point: Point) -> bool:
    """Take back an `arm`; False where it has fired already."""
    try:
        (_folder(settings, "armed") / _file_name(Armed(name, point))).unlink()
    except FileNotFoundError:
        return False
    return True


def fired(settings: Settings, name: str = "*") -> list[Fired]:
    """Who ended itself where, oldest first. The process may be alive for an instant longer."""
    found = []
    for entry in sorted(_names(_folder(settings, "fired"))):
        instant, point, process, pid = entry.split("@")
        if fnmatchcase(process, name):
            found.append(Fired(int(instant) / 1e9, process, _POINTS[point], int(pid)))
    return found


def slow(settings: Settings, name: str, *, factor: float = 1.0, seconds: float = 0.0) -> None:
    """From its next fetch on the classify process takes this much longer for each; without arguments: at full speed."""
    if factor < 1 or seconds < 0:
        raise ValueError(f"a fetch can't take {factor} times as long and {seconds} s more: that is no slowness")
    if (factor, seconds) == (1.0, 0.0):
        _slow_file(settings, name).unlink(missing_ok=True)
    else:
        _write(_slow_file(settings, name), {"factor": factor, "seconds": seconds})


def override(settings: Settings, name: str, values: Mapping[str, Any]) -> None:
    """Settings of this process alone, from its next start on: field → value, None: unset. Empty: as the others'."""
    _write(_settings_file(settings, name), dict(values))


def overrides(settings: Settings, name: str) -> dict[str, Any]:
    """What the process's own settings are."""
    return _read(_settings_file(settings, name)) or {}


@dataclass(frozen=True, slots=True)
class Switches:
    """The same as the process `name` sees it."""

    settings: Settings
    name: str

    def is_armed(self, point: Point) -> bool:
        """Whether `reach` would end this process, unless another is faster."""
        return any(found.point == point and fnmatchcase(self.name, found.name) for _, found in _armed(self.settings))

    def reach(self, point: Point) -> None:
        """Sends the process the signal that the point is armed with, if it is. Costs the listing of a folder."""
        for file, found in _armed(self.settings):
            if found.point == point and fnmatchcase(self.name, found.name) and (taken := self._take(file, point)):
                os.kill(os.getpid(), signal.Signals[taken.read_text()])

    def slowness(self) -> Slowness | None:
        """None: at full speed."""
        found = _read(_slow_file(self.settings, self.name))
        return Slowness(**found) if found else None

    def _take(self, file: Path, point: Point) -> Path | None:
        told = _folder(self.settings, "fired")
        told.mkdir(exist_ok=True)
        try:
            # One system call takes the file away from all others and tells the drill: there is nothing between the two.
            return file.rename(told / f"{time.time_ns()}@{_slug(point)}@{self.name}@{os.getpid()}")
        except FileNotFoundError:
            return None


def _slug(point: Point) -> str:
    return point.replace(" ", "-")


_POINTS: dict[str, Point] = {_slug(point): point for point in POINTS}


def _file_name(entry: Armed) -> str:
    return f"{_slug(entry.point)}@{entry.name}"


def _armed(settings: Settings) -> Iterator[tuple[Path, Armed]]:
    folder = _folder(settings, "armed")
    for entry in sorted(_names(folder)):
        point, _, name = entry.partition("@")
        yield folder / entry, Armed(name, _POINTS[point])


def _folder(settings: Settings, name: str = "") -> Path:
    return settings.run_dir / "drill" / name


def _names(folder: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return os.listdir(folder)
    return []


def _slow_file(settings: Settings, name: str) -> Path:
    return _folder(settings) / f"{name}.slow"


def _settings_file(settings: Settings, name: str) -> Path:
    return _folder(settings) / f"{name}.settings.json"


def _write(file: Path, content: dict[str, Any]) -> None:
    """At once: whoever reads it sees the old content or the new."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"{file.name}.new")
    new.write_text(json.dumps(content))
    new.replace(file)


def _read(file: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:
        return None
    return content
