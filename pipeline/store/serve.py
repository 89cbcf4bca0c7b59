"""The store process: engine, migrations, sinks and HTTP, from start to end.

1. open the embedded engine, bind the port, serve    4. ready: write the pid file
2. wait for a server, or room; apply migrations      5. a signal or a dead sink: stop serving, sinking, the engine
3. start the sinks                                   6. end with the exit code that says what happened
"""

import asyncio
import contextlib
import functools
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import stamina.instrumentation
import structlog
import uvicorn
from fastapi import FastAPI

from pipeline import settings as pipeline_settings
from pipeline.errors import Exit, ListeningError, RefusedError
from pipeline.settings import Settings
from pipeline.store import migrate
from pipeline.store.app import make_app
from pipeline.store.client import Pool
from pipeline.store.disk import refuse_full
from pipeline.store.refusals import translated
from pipeline.store.sinks import Failure, Sinks

STOP_SECONDS = 3
"""How long requests, and then each sink, may take to end."""
LISTEN_SECONDS = 30
LOOK_SECONDS = 1.0
log = structlog.get_logger()


class Server(uvicorn.Server):
    """Says when it listens, and ends streams when it shuts down: they would not end by themselves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app: Any = config.app
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        end_streams: Callable[[], None] = getattr(self._app.state, "end_streams", lambda: None)
        end_streams()
        await super().shutdown(sockets)


def main() -> int:
    """Run the store of the run that the environment names; the exit code."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    # A query that is cut off because the store ends is no defect to be shown with its stack.
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    for name in ("clickhouse_connect", "urllib3"):
        # What they warn of comes as errors, too, and is said once (trouble.py), not at each attempt.
        logging.getLogger(name).setLevel(logging.ERROR)
    stamina.instrumentation.set_on_retry_hooks([_say_retry])
    try:
        return run(pipeline_settings.load())
    except ListeningError as error:
        log.error(str(error))
        return error.exit_code


def _is_news(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def _say_retry(details: stamina.instrumentation.RetryDetails) -> None:
    log.warning("trying again", after=str(details.caused_by), attempt=details.retry_num, seconds=round(details.wait_for, 1))


def run(settings: Settings) -> int:
    """Until a signal comes or a sink dies. Raises ListeningError where it can't begin."""
    pool = Pool(settings)
    try:
        if pool.version:
            _migrate(settings, pool)
        listener = _bind(settings)
    except BaseException:
        pool.close()
        raise
    sinks = Sinks(settings, pool)
    server = Server(config_of(make_app(settings, pool, sinks)))
    ready = settings.run_dir / "ready" / "store"
    # uvicorn raises the signals again that ended it, when it is done: they must not end what follows.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    begin = functools.partial(_begin, settings, pool, sinks)
    look = functools.partial(_look, settings)
    keeper = threading.Thread(target=_keep, args=(server, sinks, begin, look, ready), name="keeper", daemon=True)
    keeper.start()
    log.info("the store serves", url=settings.store_url, database=settings.database)
    server.run(sockets=[listener])
    sinks.stop()
    keeper.join(STOP_SECONDS)
    ready.unlink(missing_ok=True)
    failure = sinks.failure
    if failure:
        log.error(failure.sentence)
    _end(pool, clean=sinks.join(STOP_SECONDS), code=failure.exit_code if failure else Exit.OK)
    return failure.exit_code if failure else Exit.OK


def config_of(app: FastAPI) -> uvicorn.Config:
    """How the store serves. httptools and uvloop by name: uvicorn would take slower ones for them and say nothing."""
    return uvicorn.Config(
        app,
        http="httptools",
        loop="uvloop",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )


def _begin(settings: Settings, pool: Pool, sinks: Sinks) -> None:
    """Start the sinks, once ClickHouse is there, or room for the embedded engine."""
    if not pool.version:
        sinks.wait_for(functools.partial(_migrate, settings, pool))
    sinks.start()


def _migrate(settings: Settings, pool: Pool) -> None:
    with translated("ClickHouse refuses the store's tables"):
        if applied := migrate.migrate(pool.base, settings.database, migrate.load()):
            log.info("migrations were applied", names=applied)


def _look(settings: Settings) -> None:
    """Raises UnavailableError where the embedded engine is to be opened anew."""
    if not settings.clickhouse_dsn:
        refuse_full(settings.store_dir)


def _keep(server: Server, sinks: Sinks, begin: Callable[[], None], look: Callable[[], None], ready: Path) -> None:
    """Begin, tell when all is ready, and end the server when a sink has ended or `look` finds why it must."""
    try:
        begin()
        for progress in list(sinks.progress.values()):
            while not progress.consuming.wait(0.1) and not sinks.ended.is_set():
                pass
        if server.listening.wait(LISTEN_SECONDS) and not sinks.ended.is_set():
            ready.parent.mkdir(parents=True, exist_ok=True)
            ready.write_text(str(os.getpid()))
        while not sinks.ended.wait(LOOK_SECONDS):
            look()
    except ListeningError as error:
        if not sinks.ended.is_set():  # asked to stop while it waited: that is no failure
            sinks.failure = Failure(str(error), error.exit_code)
    except BaseException as error:
        log.exception("the sinks could not start")
        sinks.failure = Failure(f"the sinks could not start: {type(error).__name__}: {error}", Exit.RESTART)
    server.should_exit = True


def _bind(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.store_host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.store_host, settings.store_port))
    except OSError as error:
        listener.close()
        raise RefusedError(
            f"the store can't listen at {settings.store_host}:{settings.store_port} ({error.strerror}): "
            "end what listens there, or set LISTENING_STORE_PORT to another port"
        ) from error
    return listener


def _end(pool: Any, *, clean: bool, code: int) -> None:
    """Close the engine; where a query or an insert still runs, leave it: the log replays what was not committed."""
    if clean and not pool.busy:
        with contextlib.suppress(Exception):
            pool.close()
            return
    sys.stderr.flush()
    os._exit(code)
