"""The ledger: the truth about a producing session, beside the pipeline. What was sent, as what, and what the broker said.

A part is on disk before its first record is published, with every status unknown, and again when the broker has answered:
so whatever ends the producer, no published record is missing from its ledger. A session that ends itself joins its parts
into one Parquet file, a row group each.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UnavailableError
from pipeline.settings import Settings
from producers.columns import Array, Columns, height
from producers.faults.poison import NO_POISON
from producers.kinds import READABLE, Kind, Poison
from producers.listeners.habits import LOOK_ALIKES
from producers.listeners.people import SERVICES

LEDGER_SCHEMA = pa.schema(
    [
        ("event_id", pa.binary(16)),
        ("kind", pa.string()),
        ("user_id", pa.int64()),
        ("artist_id", pa.int64()),
        ("track_id", pa.int64()),
        ("ms_played", pa.int64()),
        ("played_at", pa.int64()),
        ("sent_at", pa.int64()),
        ("status", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("service", pa.string()),
        ("look_alike", pa.string()),
        ("original_id", pa.binary(16)),
        ("poison", pa.string()),
    ]
)
"""Instants are epoch milliseconds by the client's clock; partition and offset are null unless status is `acknowledged`
(`written`: the partition is null, and the offset is the row's number in the file). event_id is null where poison left none
that could be read. look_alike: what a legitimate listen could be mistaken for, null for most. original_id: of a
cross-service report the play that it reports again. poison: the kind. Ledgers from before a column was there hold null.
"""

NAMES = ["kind", "status", "partition", "service", "look_alike", "poison"]
"""Columns of few values, the only ones that gain from a dictionary."""
REQUESTS_RETRIED = "listening.requests_retried"
"""Key in a session's file for `Ledger.requests_retried`."""


class Status(IntEnum):
    """What the broker said of a record."""

    UNKNOWN = 0
    """No word, or a word that leaves it open: the record may be in the log."""
    ACKNOWLEDGED = 1
    FAILED = 2
    """Refused: the record is not in the log."""
    WRITTEN = 3
    """Into a file: no broker was asked."""

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(slots=True)
class Answers:
    """The broker's word on the rows of a part, by row; plain lists, since delivery callbacks write them one by one."""

    status: list[int]
    partition: list[int | None]
    offset: list[int | None]
    handed: int = 0
    """Rows given to the producer so far: the first ones."""

    @classmethod
    def awaited(cls, rows: int) -> "Answers":
        return cls([Status.UNKNOWN] * rows, [None] * rows, [None] * rows)


@dataclass(slots=True)
class Ledger:
    """One producing session's ledger. `begin` a part, publish it, `end` it; `close` joins the parts.

    All raise UnavailableError where the file can't be written, as on a full disk.
    """

    path: Path
    """The session's file, once closed."""
    counts: dict[str, int] = field(default_factory=dict)
    """Rows by status and by kind."""
    requests_retried: int | None = None
    """Produce requests that were sent again; None: nobody knows."""
    _parts: int = 0

    def begin(self, rows: Columns) -> Answers:
        """Write the rows with unknown status; returns where the broker's answers go."""
        self._parts += 1
        answers = Answers.awaited(height(rows))
        self._write(ledger_table(rows, answers))
        return answers

    def end(self, rows: Columns, answers: Answers) -> None:
        """Write the part again with the answers. Rows that were never handed to the producer aren't in it."""
        table = ledger_table(rows, answers).slice(0, answers.handed)
        self._write(table)
        for name in ("status", "kind"):
            for count in table[name].value_counts().to_pylist():
                self.counts[count["values"]] = self.counts.get(count["values"], 0) + count["counts"]

    def close(self) -> None:
        """Join the parts into one file."""
        joined = self.path.with_suffix(".joining")
        if not self._parts:
            return
        with (
            _writing(self.path),
            pq.ParquetWriter(joined, LEDGER_SCHEMA, compression="zstd", use_dictionary=NAMES) as writer,
        ):
            for part in sorted(_parts_of(self.path).glob("*.parquet")):
                writer.write_table(pq.read_table(part))
            if self.requests_retried is not None:
                writer.add_key_value_metadata({REQUESTS_RETRIED: str(self.requests_retried)})
        # From here on the joined file counts, and readers leave parts beside it alone.
        os.replace(joined, self.path)
        shutil.rmtree(_parts_of(self.path))

    def _write(self, table: Any) -> None:
        folder = _parts_of(self.path)
        unfinished = folder / "unfinished"
        with _writing(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, unfinished, compression="lz4", use_dictionary=NAMES)
            os.replace(unfinished, folder / f"{self._parts:06}.parquet")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UnavailableError(
            f"the ledger {path} can't be written ({reason}): what was published stays in the log, and counts as unknown "
            "where the ledger holds no answer; make room, then publish the rest as another session"
        ) from error


def read_ledger(settings: Settings) -> Any:
    """All sessions of the run as one pyarrow.Table (LEDGER_SCHEMA), in order of publication within a session.

    Also of a session that was killed: what wasn't answered is unknown. Without any session the table is empty.
    """
    tables = [pq.read_table(path, schema=LEDGER_SCHEMA) for path in _files(settings.ledger_dir)]
    return pa.concat_tables([LEDGER_SCHEMA.empty_table(), *tables])


def requests_retried(settings: Settings) -> int | None:
    """Produce requests that the run's sessions sent again (the broker keeps their records once); None: no ledger says."""
    told = [pq.read_metadata(path).metadata or {} for path in settings.ledger_dir.glob("*.parquet")]
    numbers = [int(metadata[REQUESTS_RETRIED.encode()]) for metadata in told if REQUESTS_RETRIED.encode() in metadata]
    return sum(numbers) if numbers else None


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.glob("*")):
        if path.suffix == ".parquet":
            yield path
        elif path.suffix == ".parts" and not path.with_suffix(".parquet").exists():
            yield from sorted(path.glob("*.parquet"))


def _parts_of(path: Path) -> Path:
    return path.with_suffix(".parts")


def ledger_table(rows: Columns, answers: Answers) -> Any:
    poisons = rows["poison"]
    readable = (poisons == NO_POISON) | np.isin(poisons, list(READABLE))
    columns = {name: rows[name] for name in LEDGER_SCHEMA.names if name in rows}
    kinds, statuses = [kind.label for kind in Kind], [status.label for status in Status]
    columns |= {
        "event_id": _ids(rows["event_id"], readable),
        "kind": pa.array(kinds).take(pa.array(rows["kind"])),
        "service": pa.array(SERVICES).take(pa.array(rows["service"])),
        "look_alike": _named([name or None for name in LOOK_ALIKES], rows["look_alike"]),
        "original_id": _ids(rows["original_id"], rows["kind"] == Kind.CROSS_SERVICE),
        "poison": _named([*(kind.label for kind in Poison), None], poisons),
        "status": pa.array(statuses).take(pa.array(answers.status)),
        "partition": pa.array(answers.partition, pa.int32()),
        "offset": pa.array(answers.offset, pa.int64()),
    }
    return pa.table([columns[name] for name in LEDGER_SCHEMA.names], schema=LEDGER_SCHEMA)


def _ids(ids: Array, known: Array) -> Any:
    """Ids as uint8[n, 16], null where they aren't known."""
    bits = None if known.all() else pa.py_buffer(np.packbits(known, bitorder="little").tobytes())
    return pa.Array.from_buffers(pa.binary(16), len(ids), [bits, pa.py_buffer(ids.tobytes())])


def _named(names: Sequence[str | None], indices: Array) -> Any:
    """The name at each index; -1 is the last one."""
    return pa.array(names, pa.string()).take(pa.array(indices % len(names)))
