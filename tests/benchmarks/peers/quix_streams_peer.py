"""Quix Streams doing dedup and pane counts with RocksDB state and changelog topics."""

import os
import sys
import tempfile
import time

from avro_varint import varint
from quixstreams import Application

bootstrap, topic_name, total = sys.argv[1], sys.argv[2], int(sys.argv[3])
app = Application(
    broker_address=bootstrap,
    consumer_group=f"quix-{time.time_ns()}",
    auto_offset_reset="earliest",
    state_dir=tempfile.mkdtemp(),
    commit_interval=1.0,
    loglevel="ERROR",
    consumer_extra_config={"queued.min.messages": 500_000, "fetch.queue.backoff.ms": 5},
)
topic = app.topic(topic_name, value_deserializer="bytes", key_deserializer="bytes")
done, began = 0, 0.0


def count_once(value, _key, timestamp, _headers, state) -> bool:
    global done, began
    if value is None:  # a tick, no event
        return False
    began = began or time.perf_counter()
    done += 1
    if done >= total:
        print(f"RES quix-streams {done} {done / (time.perf_counter() - began):.0f} ev/s", flush=True)
        os._exit(0)
    event_id = value[5:21].hex()
    if state.get(event_id):
        return False
    state.set(event_id, 1)
    _user, pos = varint(value, 21)
    artist, _pos = varint(value, pos)
    pane = f"{timestamp // 10_000}:{artist}"
    state.set(pane, (state.get(pane) or 0) + 1)
    return True


app.run(app.dataframe(topic).filter(count_once, stateful=True, metadata=True))
