"""The gateway process, from start to end.

1. refuse what can't be: answers forgotten before ids, open beyond this machine, a taken port, a schema nobody registered
2. look whether Kafka is there, serve, write the ready file
3. beside it: look at Kafka, tick each pane, purge old answers
4. a signal: take no more calls, finish those in flight, tick, flush, end with 0
   anything of 3 ends by itself, or the producer does: the same, then say why, end with 70
"""

import asyncio
import contextlib
import functools
import gc
import json
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable

import structlog
import uvicorn
from confluent_kafka import KafkaException
from fastapi import FastAPI

from pipeline.errors import ListeningError, SettingsError, UnavailableError
from pipeline.http.authorize import refuse_open
from pipeline.http.process import bound, log_to_stderr
from pipeline.settings import Settings
from producers.gateway.app import make_app
from producers.gateway.connection import protocol_for
from producers.gateway.parts import Parts, parts_of
from producers.gateway.ticks import GatewayTicks
from producers.publish.guard import refuse_another_clock
from producers.publish.pace import now_ms

LOOK_SECONDS, LOOK_AGAIN_SECONDS = 5.0, 1.0
PURGE_SECONDS = 60.0
FLUSH_SECONDS = 5.0
log = structlog.get_logger()


class Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._listening()


def serve(settings: Settings, *, as_json: bool) -> None:
    """Until a signal comes. Raises ListeningError where it can't begin or go on."""
    refuse_short_memory(settings)
    refuse_open("the gateway", "LISTENING_GATEWAY_HOST", settings.gateway_host, settings.keys_file, "publish")
    listener = bound("the gateway", settings.gateway_host, settings.gateway_port, "give another --port")
    _configure_logs()
    try:
        if not settings.append_time:
            refuse_another_clock(settings, now_ms())
        parts = parts_of(settings)
    except BaseException:
        listener.close()
        raise
    ready = settings.run_dir / "ready" / f"gateway-{settings.gateway_port}"
    failures: list[ListeningError] = []

    def end(failure: ListeningError) -> None:
        failures.append(failure)
        server.should_exit = True

    config = uvicorn.Config(
        make_app(parts, functools.partial(_beside, parts, end)),
        loop="uvloop",
        http=protocol_for(settings, functools.partial(_refused, parts)),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.gateway_ack_seconds) + 1,
    )

    def listening() -> None:
        gc.freeze()  # what was imported stays: to look through it again and again would hold calls up
        ready.parent.mkdir(parents=True, exist_ok=True)
        ready.write_text(str(os.getpid()))
        print(_announcement(settings, as_json=as_json), flush=True)

    server = Server(config, listening)
    # uvicorn raises the signals again that ended it, when it is done: they must not end what follows.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    try:
        server.run(sockets=[listener])
    finally:
        if ready.exists() and ready.read_text() == str(os.getpid()):
            ready.unlink()
        parts.close()
    if failures:
        raise failures[0]


def refuse_short_memory(settings: Settings) -> None:
    """Raise SettingsError where an answer would be forgotten while the ids of its events still count as seen: under the
    same Idempotency-Key another call would get the same ids, and its events would be dropped as copies."""
    remembered = settings.horizon_seconds + settings.max_ahead_seconds
    if settings.gateway_keep_seconds < remembered:
        raise SettingsError(
            f"LISTENING_GATEWAY_KEEP_SECONDS is {settings.gateway_keep_seconds}, and ids are remembered for "
            f"LISTENING_HORIZON_SECONDS + LISTENING_MAX_AHEAD_SECONDS = {remembered}: set it to that or more"
        )


@contextlib.asynccontextmanager
async def _beside(parts: Parts, end: Callable[[ListeningError], None], _app: FastAPI) -> AsyncIterator[None]:
    """What runs beside the calls, from before the first to after the last; `end` is told where some of it ends by itself."""
    sending = parts.publisher.start(asyncio.get_running_loop())
    sending.add_done_callback(functools.partial(_ended, end, "sending"))
    ticks = GatewayTicks(parts.settings, parts.publisher)
    await _look(parts)
    works = {"looking at Kafka": _looking(parts), "ticking": ticks.run(), "purging": _purging(parts)}
    tasks = [asyncio.create_task(work) for work in works.values()]
    for what, task in zip(works, tasks, strict=True):
        task.add_done_callback(functools.partial(_ended, end, what))
    yield
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    left = await asyncio.to_thread(parts.publisher.close, FLUSH_SECONDS)
    if left:
        log.warning("Kafka did not answer for events that nobody was told are there", events=left)
    elif not parts.calls.kafka.why_not:
        asyncio.get_running_loop().call_later(FLUSH_SECONDS, ticks.stop)
        with contextlib.suppress(KafkaException):  # it was said, and this was the last one
            await ticks.tick(now_ms())
    ticks.stop()


def _ended(end: Callable[[ListeningError], None], what: str, work: "asyncio.Future[None]") -> None:
    """None of it may die unseen: clients would be told to come back for ever."""
    if work.cancelled():
        return
    error = work.exception()
    told = error.args[0].str() if isinstance(error, KafkaException) else f"{type(error).__name__}: {error}"
    end(UnavailableError(f"the gateway can't go on, {what} ended ({told}): start it again, what it had answered is kept"))


async def _looking(parts: Parts) -> None:
    while True:
        well = not parts.calls.kafka.why_not and parts.breaker.state == "closed"
        await asyncio.sleep(LOOK_SECONDS if well else LOOK_AGAIN_SECONDS)
        await _look(parts)


async def _look(parts: Parts) -> None:
    before, now = parts.calls.kafka, await asyncio.to_thread(parts.publisher.look)
    parts.calls.kafka = now
    if now.why_not and now != before:
        log.warning("events can't be taken", reason=now.why_not)
    elif before.why_not and not now.why_not:
        log.info("events can be taken")


async def _purging(parts: Parts) -> None:
    while True:
        with contextlib.suppress(Exception):
            await parts.state.purge(parts.settings.gateway_keep_seconds * 1000)
        await asyncio.sleep(PURGE_SECONDS)


def _refused(parts: Parts, remote: str, status: int, reason: str) -> None:
    parts.audit.refused(remote, None, "", "", status, reason)


def _announcement(settings: Settings, *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"run": settings.run, "url": settings.gateway_url, "pid": os.getpid()})
    return f"run {settings.run}: POST events to {settings.gateway_url}/v1/plays (Ctrl-C ends the gateway)"


def _configure_logs() -> None:
    log_to_stderr()
    # Anybody's malformed request would be a line; the audit log has it.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
