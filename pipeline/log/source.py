"""A run's source log as it was fetched, batch by batch: what the columnar decoder takes, and what tells a transaction's."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import TopicPartition, errors
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.fetch import FetchRequest

from pipeline.codec.batches import Batch, walk
from pipeline.errors import RefusedError, UnavailableError

ANSWER_SECONDS = 30.0
"""How long the broker may take for the next records."""
FETCH_BYTES = 8 << 20
"""Fetched at once; a batch that is larger comes alone."""
_RETRY_SECONDS = 0.2


class Source:
    """The batches of one topic. Made by `source`."""

    def __init__(self, client: AIOKafkaClient, topic: str) -> None:
        self._client, self._topic = client, topic

    async def batches(self, partition: int, start: int, end: int) -> AsyncIterator[list[Batch]]:
        """Batches in log order, until they cover [start, end); the first may begin before it, the last reach beyond.

        Raises UnavailableError where nothing came for 30 s, RefusedError where the log was cut meanwhile.
        """
        deadline = time.monotonic() + ANSWER_SECONDS
        while start < end:
            found = await self._fetch(partition, start)
            if found:
                start, deadline = found[-1].last + 1, time.monotonic() + ANSWER_SECONDS
                yield found
            elif time.monotonic() > deadline:
                raise UnavailableError(
                    f"{self._topic} partition {partition} gave nothing for {ANSWER_SECONDS:.0f} s at offset {start}: see "
                    "that the broker is up, then run the same command again"
                )
            else:
                await asyncio.sleep(_RETRY_SECONDS)

    async def _fetch(self, partition: int, start: int) -> list[Batch]:
        leader = self._client.cluster.leader_for_partition(TopicPartition(self._topic, partition))
        if leader is None or leader == -1:
            await self._client.force_metadata_update()
            return []
        wanted = [(self._topic, [(partition, start, FETCH_BYTES)])]
        try:
            # Uncommitted, like every reader here: a transaction's records are invalid, not unseen.
            answer = await self._client.send(leader, FetchRequest(500, 1, FETCH_BYTES, 0, wanted))
        except errors.KafkaError:
            await self._client.force_metadata_update()
            return []
        _partition, code, _high, *rest = answer.topics[0][1][0]
        failure = errors.for_code(code)
        if failure is errors.OffsetOutOfRangeError:
            raise RefusedError(f"{self._topic} partition {partition}: offset {start} is gone, the log was cut meanwhile")
        if failure is not errors.NoError:
            await self._client.force_metadata_update()
            return []
        return [batch for batch in walk(bytes(rest[-1])) if batch.last >= start]


@asynccontextmanager
async def source(bootstrap: str, topic: str) -> AsyncIterator[Source]:
    """The topic's log, closed at the end. Raises UnavailableError where the broker doesn't answer."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    try:
        await client.bootstrap()
        await client.add_topic(topic)
        yield Source(client, topic)
    except errors.KafkaError as error:
        raise UnavailableError(f"the broker at {bootstrap} does not answer: {error}") from error
    finally:
        await client.close()
