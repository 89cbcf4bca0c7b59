"""Producers that meet an error after which they send nothing any more, and a gateway with one: `python -m
tests.unit.gateway.doomed` is `listening gateway` until it is ready; then its producer fails."""

import ctypes
import sys
import threading
import time
from pathlib import Path
from typing import Any

import confluent_kafka

from pipeline import cli
from pipeline.settings import Settings
from producers.gateway import serve
from producers.gateway.parts import Parts, parts_of

OUT_OF_ORDER = 45
SECONDS = 30.0


def strike(producer: Any) -> None:
    """As if a broker had answered that a sequence number is out of order; by librdkafka's own means for tests."""
    folder = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
    library = ctypes.CDLL(str(next(folder.glob("librdkafka-*"), "librdkafka.so.1")))
    library.rd_kafka_test_fatal_error.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
    # What Python's object begins with, and then the handle.
    handle = ctypes.c_void_p.from_address(id(producer) + object.__basicsize__)
    assert library.rd_kafka_test_fatal_error(handle, OUT_OF_ORDER, b"as the test has it") == 0


def _doomed(settings: Settings) -> Parts:
    parts = parts_of(settings)
    ready, deadline = settings.run_dir / "ready" / f"gateway-{settings.gateway_port}", time.monotonic() + SECONDS

    def wait() -> None:
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        strike(parts.publisher._producer)

    threading.Thread(target=wait, daemon=True).start()
    return parts


if __name__ == "__main__":
    serve.parts_of = _doomed  # type: ignore[attr-defined]
    sys.argv = ["listening", "gateway", "--json"]
    cli.main()
