"""Append to the derived topics: our own producer, so that every send is awaited and dated to the millisecond.

Faust's producer takes seconds as a float, waits for nobody, and lets a commit come before the acknowledgement. librdkafka
compresses and sends on threads of its own: aiokafka's lz4 (level 9, in the event loop) cost more than all of dedup.
"""

import asyncio
import threading
from typing import Any

from confluent_kafka import KafkaException, Producer

from pipeline.codec.headers import HeaderList
from pipeline.errors import UnavailableError
from pipeline.topics import MAX_MESSAGE_BYTES

_POLL_S = 0.2


class Appender:
    """One producer of a process: idempotent, acks=all. Connects at its first use, within the running event loop."""

    def __init__(self, bootstrap: str, delivery_timeout_s: float = 8.0) -> None:
        self._config = {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            "linger.ms": 0,
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "batch.size": MAX_MESSAGE_BYTES,
            "delivery.timeout.ms": int(delivery_timeout_s * 1000),
            "request.timeout.ms": int(delivery_timeout_s * 1000),
        }
        self._producer: Any = None
        self._closing = threading.Event()

    async def append(
        self,
        topic: str,
        partition: int,
        value: bytes | None,
        headers: HeaderList,
        *,
        timestamp: int | None = None,
        key: bytes | None = None,
    ) -> int:
        """Send one record and wait for the acknowledgement; its offset.

        Raises UnavailableError: the process must end, since whether the record was written is not known.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[int] = loop.create_future()

        def answered(error: Any, message: Any) -> None:
            loop.call_soon_threadsafe(_settle, answer, error, None if error else message.offset())

        dated = {} if timestamp is None else {"timestamp": max(1, timestamp)}  # 0 means now to librdkafka
        try:
            self._started().produce(
                topic, value=value, key=key, partition=partition, headers=headers, on_delivery=answered, **dated
            )
            return await answer
        except (KafkaException, BufferError) as error:
            raise UnavailableError(f"{topic} partition {partition} did not take a record: {error}") from error

    async def close(self) -> None:
        """Stop serving deliveries; what was not awaited is not promised."""
        self._closing.set()

    def _started(self) -> Any:
        if self._producer is None:
            self._producer = Producer(self._config)
            threading.Thread(target=self._serve, name="deliveries", daemon=True).start()
        return self._producer

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(_POLL_S)


def _settle(answer: "asyncio.Future[int]", error: Any, offset: int | None) -> None:
    if answer.done():
        return
    if error is not None or offset is None:
        answer.set_exception(KafkaException(error))
    else:
        answer.set_result(offset)
