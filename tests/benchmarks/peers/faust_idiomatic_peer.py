"""Faust as its manual shows it: one event at a time, state in a dict (no changelog, which favours it)."""

import os
import sys
import time

import faust
from avro_varint import varint

TOTAL = int(os.environ["N"])
app = faust.App(
    f"faust-idiomatic-{time.time_ns()}",
    broker=f"kafka://{os.environ['BOOTSTRAP']}",
    store="memory://",
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
)
topic = app.topic(os.environ["TOPIC"], value_serializer="raw", key_serializer="raw")
seen: set[bytes] = set()
counts: dict[tuple[int, int], int] = {}


@app.agent(topic)
async def count_once(stream):
    done, began = 0, 0.0
    async for event in stream.events():
        if event.value is None:  # a tick, no event
            continue
        began = began or time.perf_counter()
        value = event.value
        done += 1
        if value[5:21] not in seen:
            seen.add(value[5:21])
            _user, pos = varint(value, 21)
            artist, _pos = varint(value, pos)
            key = int(event.message.timestamp) // 10, artist
            counts[key] = counts.get(key, 0) + 1
        if done >= TOTAL:
            rate = done / (time.perf_counter() - began)
            print(f"RES faust-idiomatic {done} {rate:.0f} ev/s", file=sys.__stderr__, flush=True)
            os._exit(0)
