"""`python -m tests.benchmarks.bench_dedup [--json]`, under a minute: what remembering ids costs.

Bars: at most 48 bytes an id at 10 M ids by resident size, decide with 10 M ids at least 80% as fast as with 100,000,
restores of at least 1 M ids a second. Rates are by CPU time, so that they say something on a busy machine, too.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl

from pipeline.codec.decode import Decoded
from pipeline.codec.event_columns import FRAME_SCHEMA
from pipeline.dedup.decide import Events, Memory, decide
from pipeline.log.batch import classify
from pipeline.log.restore import restore_memory
from pipeline.rules import Rules
from tests.unit.log.memory_log import MemoryLog

ROOT = Path(__file__).parents[2]
RULES = Rules(
    partitions=4,
    horizon_ms=7_200_000,
    grace_ms=60_000,
    slot_ms=300_000,
    pane_ms=10_000,
    max_ahead_ms=600_000,
    min_play_ms=30_000,
    plausibility="-",
)
MANY, FEW, RESTORED = 10_000_000, 100_000, 1_200_000
BATCH, ROUNDS, SLOTS = 36_000, 15, 24
NOW = 1_760_000_100_000
OLDEST = NOW // RULES.slot_ms - SLOTS + 1


def ids(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random ids, as two halves."""
    return random.integers(0, 2**64, count, np.uint64), random.integers(0, 2**64, count, np.uint64)


def filled(random: np.random.Generator, count: int) -> tuple[Memory, float]:
    """A memory of so many ids, slot after slot, and the seconds of CPU that remembering them took."""
    memory, took = Memory(watermark=NOW, next_offset=count), 0.0
    for first in range(0, count, BATCH):
        offset = np.arange(first, min(first + BATCH, count))
        slot = (OLDEST + offset * SLOTS // count).astype(np.int32)
        head, tail = ids(random, len(offset))
        began = time.thread_time()
        memory.seen.remember(head, tail, slot, offset)
        took += time.thread_time() - began
    return memory, took


def batch(random: np.random.Generator, first: int, now: int = NOW) -> Events:
    """Events of the last minute, one of ten a copy of an earlier one."""
    head, tail = ids(random, BATCH)
    played_at = now - random.integers(0, 60_000, BATCH)
    copies = np.flatnonzero(random.random(BATCH) < 0.1)[1:]
    originals = (random.random(len(copies)) * copies).astype(np.intp)
    for column in (head, tail, played_at):
        column[copies] = column[originals]
    return Events(
        np.arange(first, first + BATCH), played_at + 1_000, head, tail, played_at, random.integers(1, 300_000, BATCH)
    )


def seconds(memory: Memory, events: Events) -> float:
    """Of CPU for one event."""
    began = time.thread_time()
    decide(memory, events, [], memory.next_offset + BATCH, RULES)
    return (time.thread_time() - began) / BATCH


def rates() -> dict[str, float]:
    """With few ids and with many, by turns. Few: in a memory that has held more, so that it needs no new pages either."""
    random = np.random.default_rng(1)
    many, took = filled(random, MANY)
    with_few, with_many = [], []
    for _ in range(ROUNDS):
        few, _ = filled(random, FEW * 24 // 17)
        few.seen.forget_below(OLDEST + 7)
        with_few.append(seconds(few, batch(random, few.next_offset)))
        with_many.append(seconds(many, batch(random, many.next_offset)))
    began = time.perf_counter()
    many.seen.forget_below(OLDEST + 1)
    dropping = time.perf_counter() - began
    return {
        "decided_per_second_with_100_k": round(1 / median(with_few)),
        "decided_per_second_with_10_m": round(1 / median(with_many)),
        "rate_with_10_m_over_100_k": round(median(with_few) / median(with_many), 3),
        "seconds_to_drop_a_slot_of_10_m": round(dropping, 6),
        "remembered_per_second": round(MANY / took),
    }


def restores() -> dict[str, float]:
    """Of a whole restore from containers in memory."""
    random, log, memory = np.random.default_rng(1), MemoryLog(), Memory()
    for number, first in enumerate(range(0, RESTORED, BATCH)):
        now = NOW + number * 60_000
        events = batch(random, first, now)
        plain = {"user_id": random.integers(1, 2**31, BATCH), "artist_id": 7, "track_id": 11, "sent_at": now, "platform": 1}
        columns = {name: getattr(events, name) for name in ("offset", "appended_at", "id_head", "id_tail", "played_at")}
        columns |= {"ms_played": events.ms_played, "service": "listening", "country": "SE", **plain}
        frame = pl.select(
            pl.lit(pl.Series(columns[name]) if isinstance(columns.get(name), np.ndarray) else columns.get(name))
            .cast(dtype)
            .alias(name)
            for name, dtype in FRAME_SCHEMA.items()
        )
        record = classify(memory, Decoded(first, first + BATCH - 1, frame, [], [], 0, BATCH), RULES)
        log.append("plays", 0, record.value, record.headers(number, RULES.fingerprint).encode(), record.watermark)
    began = time.thread_time()
    restored = restore_memory(log, "plays", 0, RULES)
    took = time.thread_time() - began
    assert restored.memory.seen.size == memory.seen.size
    return {"restored_per_second": round(memory.seen.size / took)}


def resident() -> int:
    """Bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def bytes_an_id() -> float:
    """Of the resident size, in this process."""
    random = np.random.default_rng(1)
    filled(random, FEW)
    before = resident()
    memory, _ = filled(random, MANY)
    return (resident() - before) / memory.seen.size


def measured() -> dict[str, float]:
    """All of it; the bytes in a fresh process."""
    process = [sys.executable, "-m", "tests.benchmarks.bench_dedup", "--bytes-only"]
    output = subprocess.run(process, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120).stdout
    return {"bytes_an_id_at_10_m": round(float(output), 1), **rates(), **restores()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--bytes-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bytes_only:
        print(bytes_an_id())
        return
    found = measured()
    print(json.dumps(found) if options.json else "\n".join(f"{name:32} {value:>14,}" for name, value in found.items()))


if __name__ == "__main__":
    main()
