"""Kafka producers as they must be: idempotent, acks=all, murmur2, every wait bounded."""

from typing import Any

from confluent_kafka import Producer

from pipeline.errors import UnavailableError
from pipeline.settings import Settings

DELIVERY_SECONDS = 60
"""How long the broker may take to acknowledge a record, retries included."""


def kafka_producer(settings: Settings) -> Any:
    """A producer whose keys meet the partitions that Kafka's own default partitioner would choose."""
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
    )


def flush(producer: Any, settings: Settings, seconds: float = DELIVERY_SECONDS + 5) -> None:
    """Wait until every record has been answered. Raises UnavailableError where some weren't in time."""
    if left := producer.flush(seconds):
        raise unanswered(settings, left)


def unanswered(settings: Settings, left: int) -> UnavailableError:
    """The sentence for records that the broker said nothing of."""
    return UnavailableError(
        f"Kafka at {settings.bootstrap} left {left} records unanswered: what became of them is unknown, and stands so in "
        f"{settings.ledger_dir}; see whether the broker is up, then produce into a fresh run (`--run NAME`)."
    )
