"""Runs the stack under supervisord: lock, ports, broker, topics, workers, until the block ends; then nothing is left.

lock ─► free ports ─► jars ─► supervisord ─► broker answers ─► topics ─► classify, rank, store ready ─► yield ─► all stopped
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from deploy.embedded.broker import require_free_ports
from deploy.embedded.data_lock import data_lock
from deploy.embedded.interrupts import interrupts
from deploy.embedded.jars import fetch_jars
from deploy.embedded.ports import require_free
from deploy.embedded.programs import Program, programs_of
from deploy.embedded.stack import Stack
from deploy.embedded.supervisord import supervisord
from pipeline import admin
from pipeline.settings import Settings

ANSWER_SECONDS = 15.0
"""How long a Kafka that isn't ours may take to answer."""


@contextmanager
def running(
    settings: Settings, progress: Callable[[str], None], *, fresh: bool = False, held: Sequence[str] = ()
) -> Iterator[Stack]:
    """The stack, ready, for as long as the block runs. Ends every process on exit, exception, SIGINT, SIGTERM and SIGHUP.

    `fresh`: everything that the run held is deleted first. `held`: processes that are left for `Stack.start_workers`.
    The signals become KeyboardInterrupt. Raises ListeningError: a busy port or data folder, a broker that doesn't answer,
    topics that differ, a process that stays down or isn't ready in time (with the end of its log).
    """
    with run_programs(settings, programs_of(settings), progress, fresh=fresh, held=held) as stack:
        yield stack


@contextmanager
def run_programs(
    settings: Settings,
    programs: Sequence[Program],
    progress: Callable[[str], None],
    *,
    fresh: bool = False,
    held: Sequence[str] = (),
) -> Iterator[Stack]:
    """`running` with any programs: the broker first if there is one, then the topics, then the others side by side."""
    brokers = [program.name for program in programs if program.is_broker]
    workers = [program.name for program in programs if not program.is_broker]
    with interrupts() as signals, data_lock(settings):
        if brokers:
            require_free_ports(settings)
        if "store" in workers:
            require_free(settings.store_host, settings.store_port, "LISTENING_STORE_PORT")
        if brokers:
            fetch_jars(settings.cache_dir, progress=progress)
        if fresh:
            shutil.rmtree(settings.run_dir, ignore_errors=True)
        _clear(settings)
        with supervisord(settings, programs) as daemon:
            try:
                stack = Stack(settings, programs, daemon)
                for name in brokers:
                    progress(f"starting the broker at {settings.bootstrap}")
                    stack.start_broker(name)
                if not brokers:
                    admin.wait_for_broker(settings, ANSWER_SECONDS)
                if fresh:
                    admin.delete_topics(settings)
                admin.ensure_topics(settings)
                first = [name for name in workers if name not in held]
                progress(f"starting {', '.join(first)}")
                stack.start_workers(first)
                yield stack
            finally:
                signals.hold()  # whatever ends the block: from here on it is stopped to the end
                progress("stopping")


def foreground(settings: Settings, *, as_json: bool = False) -> None:
    """`listening up`: start, print what runs where (a table, or one line of JSON), wait for Ctrl-C or SIGTERM.

    Raises ListeningError as `running` does, and RefusedError (exit 78) when a process stays down later on.
    """
    notes = Console(stderr=True, highlight=False)
    try:
        with running(settings, lambda line: notes.print(f"{line} …", markup=False)) as stack:
            if as_json:
                print(json.dumps([asdict(service) for service in stack.services()], default=str), flush=True)
            else:
                Console(highlight=False).print(_table(stack))
            notes.print(f"everything is ready: look at {settings.store_url}/ in a browser; Ctrl-C stops it", markup=False)
            stack.wait()
    except KeyboardInterrupt:
        notes.print("stopped")


def _table(stack: Stack) -> Table:
    where = f"run {stack.settings.run}, logs in {stack.settings.run_dir / 'logs'}"
    table = Table("process", "pid", "address", caption=where, caption_justify="left")
    for service in stack.services():
        table.add_row(service.name, str(service.pid or "-"), service.address)
    return table


def _clear(settings: Settings) -> None:
    """Make the folders; put what an earlier start left behind out of the way: ready files, and logs (one is kept)."""
    shutil.rmtree(settings.run_dir / "ready", ignore_errors=True)
    (settings.run_dir / "ready").mkdir(parents=True)
    logs = settings.run_dir / "logs"
    logs.mkdir(exist_ok=True)
    for log in logs.glob("*.log"):
        log.replace(log.with_suffix(".log.1"))
