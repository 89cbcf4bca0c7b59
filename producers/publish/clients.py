"""Kafka producers as they must be: idempotent, acks=all, murmur2, every wait bounded."""

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from confluent_kafka import Producer

from pipeline.errors import UnavailableError
from pipeline.settings import Settings
from producers.interrupt import Interrupt

DELIVERY_SECONDS = 60
"""How long the broker may take to acknowledge a record, retries included."""
INTERRUPT_SECONDS = 0.2
"""How long a Ctrl-C may go unheeded while a call waits."""


def kafka_producer(settings: Settings, changes: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """A producer whose keys meet the partitions that Kafka's own default partitioner would choose.

    `changes`: librdkafka's properties that differ for this one.
    """
    return Producer(
        {
            "bootstrap.servers": settings.bootstrap,
            "enable.idempotence": True,
            "acks": "all",
            "partitioner": "murmur2",
            "compression.type": "lz4",
            "linger.ms": 20,
            "batch.num.messages": 100_000,
            "queue.buffering.max.messages": 500_000,
            "message.timeout.ms": DELIVERY_SECONDS * 1000,
            "reconnect.backoff.max.ms": 1_000,
            "log_level": 0,  # what goes wrong is said in one sentence, not by the library's log
        }
        | dict(changes)
    )


def flush(producer: Any, settings: Settings, interrupt: Interrupt, seconds: float = DELIVERY_SECONDS + 5) -> None:
    """Wait until every record has been answered.

    Raises UnavailableError where some weren't in time, KeyboardInterrupt for a Ctrl-C.
    """
    deadline = time.monotonic() + seconds
    while left := producer.flush(INTERRUPT_SECONDS):
        interrupt.check()
        if time.monotonic() > deadline:
            raise unanswered(settings, left)


def unanswered(settings: Settings, left: int) -> UnavailableError:
    """The sentence for records that the broker said nothing of."""
    return gave_up(settings, f"left {left} records unanswered")


def gave_up(settings: Settings, what: str) -> UnavailableError:
    """The sentence for a broker that can't be produced to any longer; `what` it did goes on from its address."""
    return UnavailableError(
        f"Kafka at {settings.bootstrap} {what}: the ledger in {settings.ledger_dir} holds what is known of each event; see "
        "whether the broker is up, then go on with `--realtime` or begin a fresh run with `--run NAME`."
    )
