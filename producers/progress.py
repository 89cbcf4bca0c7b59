"""A progress bar on stderr: events, events a second, the scenario's clock."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from producers.scenarios.clock import iso


class ProgressBar:
    """Shows itself only where it is wanted and stderr is a terminal."""

    def __init__(self, events: int, *, wanted: bool) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("publishing"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>9,.0f} events/s"),
            TextColumn("clock {task.fields[clock]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not (wanted and console.is_terminal),
            transient=True,
        )
        self._task = self._progress.add_task("publishing", total=events, rate=0.0, clock="")

    def advance(self, events: int, clock: int) -> None:
        """So many more events were handed over; the scenario's clock is at `clock` (epoch ms)."""
        speed = self._progress.tasks[0].speed or 0.0
        self._progress.update(self._task, advance=events, rate=speed, clock=iso(clock))

    def __enter__(self) -> "ProgressBar":
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()
