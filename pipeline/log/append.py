"""Append to the derived topics: our own producer, so that every send is awaited and dated to the millisecond.

Faust's producer takes seconds as a float, waits for nobody, and lets a commit come before the acknowledgement.
"""

from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from pipeline.codec.headers import HeaderList
from pipeline.errors import UnavailableError
from pipeline.topics import MAX_MESSAGE_BYTES


class Appender:
    """One producer of a process, acks=all. Started at its first use, within the running event loop."""

    def __init__(self, bootstrap: str, request_timeout_s: float = 8.0) -> None:
        self._bootstrap = bootstrap
        self._request_timeout_ms = int(request_timeout_s * 1000)
        self._producer: Any = None

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
        """Send one record and wait for the acknowledgement; its offset. Raises UnavailableError: the process must end,
        since whether the record was written is not known."""
        producer = await self._started()
        try:
            answer = await producer.send_and_wait(
                topic, value=value, key=key, partition=partition, timestamp_ms=timestamp, headers=headers
            )
        except KafkaError as error:
            raise UnavailableError(f"{topic} partition {partition} did not take a record: {error!r}") from error
        offset: int = answer.offset
        return offset

    async def _started(self) -> Any:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                acks="all",
                compression_type="lz4",
                linger_ms=0,
                max_batch_size=MAX_MESSAGE_BYTES,
                max_request_size=MAX_MESSAGE_BYTES,
                request_timeout_ms=self._request_timeout_ms,
            )
            await producer.start()
            self._producer = producer
        return self._producer
