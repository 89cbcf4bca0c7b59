"""`listening produce --out FILE`: a scenario's events as an Avro object container, and its ledger beside it. No broker.

step of the script ─► encoded bodies = an Avro block ─► FILE;  step ─► ledger (written) ─► FILE.ledger.parquet
The same seed and start give the same bytes.
"""

import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import pyarrow.parquet as pq

import schemas
from pipeline.errors import ListeningError
from pipeline.rules import Rules
from producers.columns import Columns, height, take
from producers.encode import encode_bodies, varints
from producers.kinds import Kind
from producers.ledger import LEDGER_SCHEMA, NAMES, Answers, Status, ledger_table
from producers.progress import ProgressBar
from producers.scenarios.model import Scenario
from producers.world import World

MAGIC = b"Obj\1"
BLOCK_EVENTS = 10_000
Codec = Literal["null", "deflate"]


@dataclass(frozen=True, slots=True)
class Written:
    """What `--out` wrote. Instants are epoch ms of the scenario's clock."""

    file: Path
    ledger: Path
    events: int
    bytes: int
    """Of the file."""
    kinds: dict[str, int]
    start: int
    end: int


def ledger_beside(file: Path) -> Path:
    return file.with_name(file.name + ".ledger.parquet")


def refuse_for_files(scenario: Scenario, file: Path, *, force: bool) -> None:
    """Raise ListeningError for what can't be written, or would be overwritten without having been said."""
    if scenario.poison.share:
        raise ListeningError(
            f"scenario {scenario.name} has poison, records that are no events, and an Avro file holds events alone: "
            "publish it into a run, or set poison to 0."
        )
    for path in (file, ledger_beside(file)):
        if path.exists() and not force:
            raise ListeningError(f"{path} is there already: say --force to overwrite it, or name another file.")
    if not file.absolute().parent.is_dir():
        raise ListeningError(f"{file} can't be written: {file.absolute().parent} is no folder.")


def write_events(
    world: World, rules: Rules, start: int, file: Path, codec: Codec, *, force: bool = False, show_progress: bool = False
) -> Written:
    """Write the events of a scenario that begins at `start`, in the order in which they would be published, and the ledger.

    Neither file is there before both are whole. Raises ListeningError as `refuse_for_files`, and where the disk refuses.
    """
    refuse_for_files(world.scenario, file, force=force)
    paths = [file, ledger_beside(file)]
    unfinished = [path.with_name(path.name + ".unfinished") for path in paths]
    kinds: dict[str, int] = {}
    rows = 0
    try:
        with (
            unfinished[0].open("wb") as out,
            pq.ParquetWriter(unfinished[1], LEDGER_SCHEMA, compression="zstd", use_dictionary=NAMES) as ledger,
            ProgressBar(world.scenario.events, wanted=show_progress) as bar,
        ):
            sync = np.random.default_rng([world.scenario.seed, 28]).bytes(16)
            out.write(header(codec, sync))
            for records in world.records(rules, start):
                if not (count := height(records)):
                    continue
                for block in _blocks(records):
                    _write_block(out, block, codec, sync)
                answers = Answers([Status.WRITTEN] * count, [None] * count, list(range(rows, rows + count)), count)
                table = ledger_table(records, answers)
                ledger.write_table(table)
                for entry in table["kind"].value_counts().to_pylist():
                    kinds[entry["values"]] = kinds.get(entry["values"], 0) + entry["counts"]
                rows += count
                bar.advance(count, int(records["true_sent_at"][-1]))
        size = unfinished[0].stat().st_size
        for source, path in zip(unfinished, paths, strict=True):
            os.replace(source, path)
    except OSError as error:
        raise ListeningError(f"{file} can't be written: {error.strerror or error}") from error
    finally:
        for path in unfinished:
            with suppress(OSError):
                path.unlink()
    end = start + world.scenario.length_ms
    ordered = {kind.label: kinds[kind.label] for kind in Kind if kind.label in kinds}
    return Written(file, ledger_beside(file), events=rows, bytes=size, kinds=ordered, start=start, end=end)


def header(codec: Codec, sync: bytes) -> bytes:
    """An object container's header: the schema, the codec, and the marker between blocks."""
    text = schemas.schema_text(schemas.EVENTS_SUBJECT, 1).encode()
    entries = [(b"avro.schema", text), (b"avro.codec", codec.encode())]
    packed = b"".join(_long(len(part)) + part for entry in entries for part in entry)
    return MAGIC + _long(len(entries)) + packed + _long(0) + sync


def _blocks(records: Columns) -> Iterator[Columns]:
    for first in range(0, height(records), BLOCK_EVENTS):
        yield take(records, slice(first, first + BLOCK_EVENTS))


def _write_block(out: BinaryIO, records: Columns, codec: Codec, sync: bytes) -> None:
    body = encode_bodies(records)
    if codec == "deflate":
        body = zlib.compress(body, wbits=-15)
    out.write(_long(height(records)) + _long(len(body)) + body + sync)


def _long(number: int) -> bytes:
    values, used = varints(np.array([number], np.int64))
    return values[used].tobytes()
