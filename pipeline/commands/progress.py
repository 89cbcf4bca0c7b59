"""A progress bar on stderr, as every command that reads a log shows it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)


@contextmanager
def progress_bar(doing: str, *, as_json: bool) -> Iterator[Callable[[int, int], None]]:
    """Yields what to call with (done, total). Shows itself only on a terminal, and not beside JSON."""
    with _bar(as_json, TextColumn(doing), BarColumn(), MofNCompleteColumn()) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def row_counter(doing: str, *, as_json: bool) -> Iterator[Callable[[int], None]]:
    """As `progress_bar` where nobody knows the total: yields what to call with the rows done."""
    with _bar(as_json, SpinnerColumn(), TextColumn("{task.completed:,.0f} rows")) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda rows: bar.update(task, completed=rows)


def _bar(as_json: bool, *columns: ProgressColumn) -> Progress:
    console = Console(stderr=True)
    return Progress(
        *columns, TimeElapsedColumn(), console=console, disable=as_json or not console.is_terminal, transient=True
    )
