"""A small run as its source log has it, made in Python, and what a store of it must answer, recomputed from those rows."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from deploy.embedded.ports import free_ports
from pipeline.settings import Settings, load
from pipeline.store.client import Pool
from pipeline.store.readers import ArtistsReader, CountsReader, PlaysReader, TopsReader
from pipeline.store.records import Reader, Record
from pipeline.store.writer import ClickHouseWriter
from tests.unit.store.conftest import opened
from tests.unit.store.made import T0, artist, counts, event_id, play, plays, top

PARTITIONS, SHARDS, PANE, GRACE, WINDOW = 3, 2, 20_000, 60_000, 600_000
"""None of them is the default, but the grace."""
ROWS, BATCH = 900, 90
COUNTRIES, PLATFORMS, SERVICES = ("DE", "BR", "JP"), ("web", "ios", "car"), ("own", "Other Music", "x.fm")
NAMED = {number: f"Artist {number}; 'the {number}th'" for number in range(1, 10)}
ONLY_NAMED = 77
Row = dict[str, Any]


@dataclass
class Log:
    """Rows of all partitions, each with its `partition`; per partition the watermark as of its last record."""

    rows: list[Row] = field(default_factory=list)
    watermarks: dict[int, int] = field(default_factory=dict)
    batches: list[Row] = field(default_factory=list)

    @property
    def watermark(self) -> int:
        return min(self.watermarks.values())

    def of(self, *outcomes: str) -> list[Row]:
        return [row for row in self.rows if row["outcome"] in outcomes]

    def ranked(self, start: int, end: int, k: int, wanted: Callable[[Row], bool] = lambda _: True) -> list[tuple[int, int]]:
        found = Counter(r["artist_id"] for r in self.of("accepted") if start <= r["event_time"] < end and wanted(r))
        return sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))[:k]

    def steps(self, start: int, end: int, step: int, artist_id: int | None = None) -> list[tuple[int, int]]:
        times = [r["event_time"] for r in self.of("accepted") if artist_id in (None, r["artist_id"])]
        return [(at, sum(at <= time < at + step for time in times)) for at in range(start, end, step)]


def made_log(seed: int = 5) -> Log:
    """About 25 minutes a partition. Event times jitter by more than the grace: some rows are late by the rules."""
    log, dice = Log(), random.Random(seed)
    for partition in range(PARTITIONS):
        watermark, rows = 0, list[Row]()
        for offset in range(ROWS):
            time = T0 + offset * 1700 + partition * 7000 - dice.randrange(80_000)
            outcome = dice.choices(["accepted", "duplicate", "skipped", "suspect", "invalid"], [70, 15, 8, 4, 3])[0]
            firsts = [row for row in rows if row["outcome"] == "accepted"]
            if outcome in ("duplicate", "suspect") and not firsts:
                outcome = "accepted"
            if outcome == "accepted" and time < watermark - GRACE:
                outcome = "late"
            about: Row = {
                "event_id": event_id(partition * ROWS + offset).bytes,
                "event_time": time,
                "played_at": time,
                "sent_at": time + dice.randrange(9999),
                "user_id": 1000 + dice.randrange(40),
                "artist_id": int(dice.paretovariate(0.9)) % 12 + 1,
                "country": dice.choice(COUNTRIES),
                "platform": dice.choice(PLATFORMS),
                "service": dice.choice(SERVICES),
            }
            if outcome == "duplicate":
                first = dice.choice(firsts[-30:])
                about |= {name: first[name] for name in ("event_id", "user_id", "artist_id", "played_at")}
                about |= {"first_offset": first["offset"]}
            if outcome == "suspect":
                about |= {"first_offset": firsts[-1]["offset"]}
            rows.append(play(offset, outcome, **about))
            watermark = max(watermark, time if outcome != "invalid" else 0)
            if outcome == "invalid":
                rows[-1] = {name: rows[-1][name] for name in ("offset", "appended_at", "outcome")}
            rows[-1]["watermark"] = watermark
        log.rows += [row | {"partition": partition} for row in rows]
        log.watermarks[partition] = watermark
    # A tick at the end: all partitions are equally far then, and their last batches equally new.
    log.watermarks = dict.fromkeys(log.watermarks, max(log.watermarks.values()))
    return log


def records(log: Log, rules: str) -> Iterator[tuple[Reader, Record]]:
    """What the derived topics hold of it."""
    for partition in range(PARTITIONS):
        reader, mine = PlaysReader(rules), [row for row in log.rows if row["partition"] == partition]
        for at, first in enumerate(range(0, ROWS, BATCH)):
            part = mine[first : first + BATCH]
            bare = [{name: value for name, value in row.items() if name not in ("partition", "watermark")} for row in part]
            watermark = part[-1]["watermark"]
            yield reader, Record(partition, at, *plays(at, bare, rules, first=first, watermark=watermark))
            outcomes = Counter(row["outcome"] for row in part)
            log.batches.append(
                {"source_partition": partition, "first_offset": first, "last_offset": first + len(part) - 1}
                | {"records": len(part), "ticks": 0, "absent": 0, "duplicates": outcomes["duplicate"]}
                | {name: outcomes[name] for name in ("accepted", "late", "skipped", "suspect", "invalid")}
                | {"watermark": watermark}
            )
        end = log.watermarks[partition]
        ticks = plays(ROWS // BATCH, [], rules, first=ROWS, ticks=1, watermark=end)
        yield reader, Record(partition, ROWS // BATCH, *ticks)
        log.batches.append(
            dict.fromkeys(("records", "absent", "duplicates", "accepted", "late", "skipped", "suspect", "invalid"), 0)
            | {"source_partition": partition, "first_offset": ROWS, "last_offset": ROWS, "ticks": 1, "watermark": end}
        )
        for shard in range(SHARDS):
            found = Counter(
                (row["event_time"] // PANE * PANE, row["artist_id"])
                for row in mine
                if row["outcome"] == "accepted" and row["artist_id"] % SHARDS == shard
            )
            panes = [(*key, number) for key, number in found.items()]
            made = counts(partition, panes, counted=ROWS - 1, watermark=log.watermarks[partition], rules=rules)
            yield CountsReader(rules), Record(shard, partition, *made)
    for number, name in (NAMED | {ONLY_NAMED: "Only a name"}).items():
        yield ArtistsReader(), Record(0, number, [], artist(number, name))
    for n, end in enumerate(finals(log)):
        for shard in range(SHARDS):
            ranked = log.ranked(end - WINDOW, end, 100, lambda row, shard=shard: row["artist_id"] % SHARDS == shard)  # type: ignore[misc]
            yield TopsReader(), Record(shard, n, *top(end, shard, ranked, final=True, counted=n))


def finals(log: Log) -> list[int]:
    """Ends of all final windows."""
    return list(range(T0 + PANE, log.watermark - GRACE + 1, PANE))


@contextmanager
def stored(folder: Path, log: Log | None, **overrides: Any) -> Iterator[tuple[Settings, Pool]]:
    """A store of it, in which every row lies twice: only FINAL sees each once. `log` None: an empty one."""
    shape = {"partitions": PARTITIONS, "shards": SHARDS, "pane_seconds": PANE // 1000, "window_seconds": WINDOW // 1000}
    settings = load(data_dir=folder, store_port=free_ports(1)[0], **shape | overrides)
    with opened(settings) as pool:
        if log:
            writer = ClickHouseWriter(pool.base, settings.database)
            tables: dict[str, list[Any]] = {}
            for reader, record in records(log, settings.rules.fingerprint):
                for table, rows in reader.read(record) or []:
                    tables.setdefault(table, []).append(rows)
            for table, parts in tables.items():
                for part in (parts, parts):
                    writer.write(table, pa.concat_tables(part))
        yield settings, pool
