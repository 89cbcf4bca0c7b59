"""The oracle of the sinks' positions: everything below a committed offset is stored."""

from typing import Any

from pipeline.log.read import Record
from pipeline.store.positions import Committed
from tests.unit.machine.oracles import Named, Oracles, hold, named_of, rows_of
from tests.unit.machine.store import MemoryStore

_WANTED = {"plays": ("accepted", "late", "suspect"), "duplicates": ("duplicate",)}
"""Table → outcomes of its rows."""


def check_commit(kind: str, oracles: Oracles, store: MemoryStore, partition: int, at: Committed, log: list[Record]) -> None:
    """`log`: all records of the topic's partition."""
    where = f"the sink of {kind} is at {partition}@{at.offset}"
    if kind == "plays":
        _check_plays(where, oracles, store, partition, at)
        return
    for record in log[: at.offset]:
        named = named_of(record)
        for row in rows_of(record.value):
            hold("O4 positions", _is_stored(kind, store, partition, named, row), f"{where}, {row} isn't stored")


def _check_plays(where: str, oracles: Oracles, store: MemoryStore, partition: int, at: Committed) -> None:
    lasts = [last for offset, last in oracles.valid[partition] if offset < at.offset]
    last = lasts[-1] if lasts else -1
    said = int(at.metadata or 0)
    hold("O4 positions", said == last + 1, f"{where}, its metadata says source offset {said}, expected {last + 1}")
    for table, outcomes in _WANTED.items():
        for offset, (outcome, *_) in oracles.truth.events(partition).items():
            stored = offset > last or outcome not in outcomes or (partition, offset) in store.tables[table]
            hold("O4 positions", stored, f"{where}, source offset {offset} isn't stored")
    starts = [0, *(last + 1 for last in lasts)][:-1]
    missing = [first for first in starts if (partition, first) not in store.tables["batches"]]
    hold("O4 positions", not missing, f"{where}, the batches that begin at {missing} aren't stored")


def _is_stored(kind: str, store: MemoryStore, partition: int, named: Named, row: Any) -> bool:
    if kind == "artist-counts":
        found = store.tables["artist_counts"].get((row["pane"], row["artist_id"], row["source_partition"]))
        return found is not None and found["version"] >= row["version"]
    found = store.tables["top_artists"].get((int(named["window_end"]), partition, row["rank"]))
    return found is not None and found["version"] >= (2**63 if int(named["final"]) else int(named["counted"]))
