"""What runs beside the calls: none of it dies unseen."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from deploy.embedded.ports import free_ports
from deploy.embedded.sessions import die_with_parent
from pipeline.admin import ensure_topics
from pipeline.errors import Exit, ListeningError
from pipeline.settings import Settings, load
from producers.gateway import serve, ticks
from producers.gateway.parts import Parts, parts_of
from producers.publish.ticks import Ticker
from tests.conftest import settings_env
from tests.unit.gateway.doomed import strike

SECONDS = 30.0


@pytest.fixture
def parts(settings: Settings) -> Iterator[Parts]:
    """With panes of a second."""
    ensure_topics(settings)
    parts = parts_of(load(**(settings.model_dump() | {"pane_seconds": 1, "gateway_port": free_ports(1)[0]})))
    yield parts
    parts.close()


def failure_of(parts: Parts, trouble: Callable[[], None]) -> ListeningError:
    """What the process is told to end for, once there is trouble."""

    async def scenario() -> ListeningError:
        failed: asyncio.Future[ListeningError] = asyncio.get_running_loop().create_future()
        async with serve._beside(parts, failed.set_result, FastAPI()):
            trouble()
            return await asyncio.wait_for(failed, SECONDS)

    return asyncio.run(scenario())


def test_a_producer_that_can_t_go_on_ends_the_process(parts: Parts) -> None:
    failure = failure_of(parts, lambda: strike(parts.publisher._producer))
    assert "sending ended (test_fatal_error: as the test has it)" in str(failure)
    assert failure.exit_code == Exit.RESTART


def test_a_producer_of_ticks_that_can_t_go_on_ends_the_process(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def doomed(*args: Any) -> Ticker:
        ticker = Ticker(*args)
        strike(ticker._producer)
        return ticker

    monkeypatch.setattr(ticks, "Ticker", doomed)
    assert "ticking ended" in str(failure_of(parts, lambda: None))


def test_a_look_that_dies_ends_the_process(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "LOOK_SECONDS", 0.01)

    def dies() -> None:
        raise OSError("no more files")

    failure = failure_of(parts, lambda: monkeypatch.setattr(parts.publisher, "look", dies))
    assert "looking at Kafka ended (OSError: no more files)" in str(failure)


def test_the_process_of_such_a_producer_says_so_and_ends_with_the_code_for_another_start(parts: Parts) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "tests.unit.gateway.doomed"],
        env=os.environ | settings_env(parts.settings),
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=die_with_parent(),
    )
    assert process.returncode == Exit.RESTART, process.stderr
    assert "error: the gateway can't go on, sending ended (test_fatal_error" in process.stderr
    assert "Traceback" not in process.stderr
