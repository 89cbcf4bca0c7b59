"""A Faust app over logs: settings that were measured to run, whole fetches, states restored before the flow resumes."""

import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import faust
import structlog
from faust.types import TP

from pipeline import admin
from pipeline.errors import ListeningError
from pipeline.faustlib import fetch
from pipeline.faustlib.consumer import Transport
from pipeline.faustlib.exit import fail
from pipeline.faustlib.lanes import Lane, Lanes
from pipeline.faustlib.recovery import TableManager
from pipeline.settings import Settings, load
from pipeline.topics import group_of

_QUEUED_FETCHES = 4
_HEAL_EVERY_S = 1.0


class _WholeFetches(faust.Schema):  # type: ignore[misc]
    """Hands the fetch through: decoding is the stage's work."""

    def loads_key(self, _app: Any, message: Any, **_unused: Any) -> Any:
        return message.key

    def loads_value(self, _app: Any, message: Any, **_unused: Any) -> Any:
        return message.value


class LogApp(faust.App):  # type: ignore[misc]
    """A Faust app whose stages keep their state in logs."""

    positions: Lanes
    ready_file: Path

    def announce(self) -> None:
        """Say that this worker is ready: its states are restored, or it has no partitions."""
        self.ready_file.parent.mkdir(parents=True, exist_ok=True)
        self.ready_file.write_text(str(os.getpid()))

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)


def build_app(
    settings: Settings,
    stage: str,
    openers: Mapping[str, Callable[[int], Awaitable[Lane]]],
    on_stop: Callable[[], Awaitable[None]],
) -> LogApp:
    """An app in the group of `stage` with one agent per topic.

    `openers`: topic → how to restore a lane of a partition. `on_stop`: awaited when the worker stops in order.
    """
    fetch.install()
    folder = settings.run_dir / "workers" / f"{stage}-{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    app = LogApp(
        group_of(settings, stage),
        broker=f"kafka://{settings.bootstrap}",
        datadir=str(folder),
        store="memory://",
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        consumer_auto_offset_reset="none",
        consumer_max_fetch_size=settings.fetch_bytes,
        broker_commit_interval=0.5,
        broker_session_timeout=settings.session_seconds,
        broker_heartbeat_interval=2.0,
        broker_request_timeout=30.0,
        broker_max_poll_interval=1e6,
        producer_request_timeout=8.0,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        worker_redirect_stdouts=False,
        processing_guarantee="at_least_once",
        TableManager=TableManager,
    )
    app.positions = Lanes(openers)
    app.ready_file = settings.run_dir / "ready" / stage
    for topic in openers:
        channel = app.topic(topic, schema=_WholeFetches(), maxsize=_QUEUED_FETCHES)
        app.agent(channel, name=f"{stage}-{topic}")(_agent(app))
    app.timer(_HEAL_EVERY_S)(_healer(app))
    app.on_partitions_revoked.connect(_dropper(app), weak=False)
    app.on_rebalance_complete.connect(_announce_idle(app), weak=False)
    app.on_before_shutdown.connect(_closer(on_stop), weak=False)
    return app


def _agent(app: LogApp) -> Callable[[Any], Awaitable[None]]:
    async def serve(stream: Any) -> None:
        try:
            await app.positions.serve(stream, lambda: app.consumer)
        except Exception as error:
            fail(error)

    return serve


def _healer(app: LogApp) -> Callable[[], Awaitable[None]]:
    async def heal() -> None:
        if not app.rebalancing:
            await app.positions.heal(lambda: app.consumer)

    return heal


def _dropper(app: LogApp) -> Callable[..., Awaitable[None]]:
    async def drop(_app: Any, revoked: set[TP], **_unused: Any) -> None:
        app.positions.drop(frozenset(revoked))

    return drop


def run_worker(make: Callable[[Settings], LogApp]) -> NoReturn:
    """Run one worker until it is told to stop. Exit codes: pipeline.errors.Exit."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    os.environ["RUST_BACKTRACE"] = "0"  # polars' panics over poison are caught; 66 lines of trace each would fill the log
    try:
        settings = load()
        admin.wait_for_broker(settings, 60.0)
        app = make(settings)
    except ListeningError as error:
        fail(error)
    try:
        faust.Worker(app, loglevel="warning", redirect_stdouts=False, debug=False).execute_from_commandline()
    except SystemExit as stop:
        app.ready_file.unlink(missing_ok=True)
        raise SystemExit(stop.code) from None
    app.ready_file.unlink(missing_ok=True)
    raise SystemExit(0)


def _closer(on_stop: Callable[[], Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def close(*_args: Any, **_unused: Any) -> None:
        await on_stop()

    return close


def _announce_idle(app: LogApp) -> Callable[..., Awaitable[None]]:
    async def announce(*_args: Any, **_unused: Any) -> None:
        if not app.consumer.assignment():
            app.announce()

    return announce
