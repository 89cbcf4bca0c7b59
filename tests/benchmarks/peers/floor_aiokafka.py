"""aiokafka alone: it hands the records over, and they are counted. No worker that takes its records can be faster."""

import asyncio
import os
import sys
import time

from aiokafka import AIOKafkaConsumer, TopicPartition


async def main(bootstrap: str, topic: str, partitions: int, total: int, fetch_bytes: int) -> None:
    """`total`: all records of the topic. Fetches are asked for as pipeline/faustlib/consumer.py asks for them."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        max_partition_fetch_bytes=fetch_bytes,
        fetch_max_wait_ms=100,
        fetch_min_bytes=64 << 10,
    )
    await consumer.start()
    places = [TopicPartition(topic, number) for number in range(partitions)]
    consumer.assign(places)
    await consumer.seek_to_beginning(*places)
    done, began = 0, 0.0
    while done < total:
        # One record first: the clock starts with it, and not behind all that was fetched until then.
        for records in (await consumer.getmany(timeout_ms=1000, max_records=None if began else 1)).values():
            began = began or time.perf_counter()
            done += len(records)
    print(f"RES aiokafka {done} {done / (time.perf_counter() - began):.0f} ev/s", flush=True)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])))
