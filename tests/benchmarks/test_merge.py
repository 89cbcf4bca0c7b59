"""`make bench-merge`, about two minutes: `listening merge` at its bars, as a command in a process of its own.

20 files of 1,000,000 rows: below 300 MB resident (the kernel's high-water mark), above 300,000 rows/s, complete, in order.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from producers.merge.events import SCHEMA
from producers.merge.files import write
from producers.merge.keyed import Keyed
from tests.drills.memory import watching

ROOT = Path(__file__).parents[2]
ROWS = 1_000_000
MOST_MB, LEAST_RATE = 300, 300_000
WORDS = np.array(["ios", "web", "other"])
NUMBERS = ("user_id", "artist_id", "track_id", "album_id", "session_id", "ms_played", "track_ms", "sequence")


def events(random: np.random.Generator, service: str, rows: int) -> Keyed:
    """Random events of one service by played_at within 90 minutes: about four of all files a millisecond."""
    played_at = np.sort(random.integers(0, 5_400_000, rows)) + 1_760_000_000_000
    arrays: dict[str, Any] = {name: random.integers(1, 1 << (30 if "_ms" in name else 31), rows) for name in NUMBERS}
    arrays |= {
        name: random.choice(np.array(["ios", "web", "other"]), rows) for name in ("platform", "country", "reason_end")
    }
    arrays |= {"played_at": played_at, "sent_at": played_at + random.integers(0, 99_999, rows), "service": [service] * rows}
    arrays["offline"] = random.integers(0, 2, rows).astype(np.bool_)
    ids = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), rows, [None, pa.py_buffer(random.bytes(16 * rows))])
    columns = [ids if field.name == "event_id" else pa.array(arrays[field.name]).cast(field.type) for field in SCHEMA]
    return Keyed(played_at, pa.RecordBatch.from_arrays(columns, schema=SCHEMA))


def written(folder: Path, files: int, rows: int) -> list[Path]:
    """Files as `listening export` writes them."""
    random, paths = np.random.default_rng(1), []
    for number in range(files):
        paths.append(folder / f"{number:04}.parquet")
        made = events(random, f"service-{number:04}", rows)
        assert max(write(paths[-1], SCHEMA, (made.slice(at, at + 65_536) for at in range(0, rows, 65_536)))) == rows
    return paths


def merged(paths: list[Path], out: Path) -> tuple[dict[str, Any], int]:
    """The command's answer and its process's high-water mark in MB (VmHWM; ru_maxrss would count this process, too)."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", "merge", *map(str, paths), "--out", str(out), "--json"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with watching() as watched:
        watched.add("merge", process.pid)
        output, _ = process.communicate(timeout=600)
    assert process.returncode == 0
    return json.loads(output), watched.peak["merge"]


Digest = tuple[int, int]
"""Rows, and a checksum over their values and their order."""


def digests(path: Path) -> dict[str, Digest]:
    """Of each service's rows in a file, which must be in the order of (played_at, service)."""
    found: dict[str, Digest] = {}
    before = (0, "")
    for batch in pq.ParquetFile(path).iter_batches(200_000):
        values = hashes(batch)
        played_at, service = batch["played_at"].cast(pa.int64()).to_numpy(), batch["service"].dictionary_encode()
        names, codes = service.dictionary.to_pylist(), service.indices.to_numpy()
        rank = np.argsort(np.argsort(names))[codes]
        steps = np.diff(played_at)
        assert (steps >= 0).all()
        assert (np.diff(rank)[steps == 0] >= 0).all()
        assert before <= (played_at[0], names[codes[0]])
        before = (played_at[-1], names[codes[-1]])
        for code, name in enumerate(names):
            own = values[codes == code]
            rows, total = found.get(name, (0, 0))
            weights = np.arange(rows + 1, rows + len(own) + 1, dtype=np.uint64)
            found[name] = (rows + len(own), (total + int((own * weights).sum(dtype=np.uint64))) % 2**64)
    return found


def hashes(batch: Any) -> Any:
    """A checksum of each row's values."""
    total = np.zeros(batch.num_rows, np.uint64)
    for number, name in enumerate(batch.schema.names):
        column = batch[name]
        if name == "event_id":
            halves = np.frombuffer(column.buffers()[1], "<u8", 2 * len(column), 16 * column.offset).reshape(-1, 2)
            values = halves[:, 0] * np.uint64(31) + halves[:, 1]
        elif pa.types.is_string(column.type):
            texts = column.dictionary_encode()
            numbers = [int.from_bytes(text.encode()[-8:], "big") for text in texts.dictionary.to_pylist()]
            values = np.array(numbers, np.uint64)[texts.indices.to_numpy()]
        else:
            values = column.cast(pa.int64()).to_numpy(zero_copy_only=False).astype(np.uint64)
        total = total * np.uint64(1_000_003) + values + np.uint64(number)
    return total


@pytest.mark.drill
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("files", "rows"), [(20, ROWS), (1_000, 2_000)])
def test_many_files_are_merged_in_little_memory_fast_and_completely(tmp_path: Path, files: int, rows: int) -> None:
    paths, out = written(tmp_path, files, rows), tmp_path / "merged" / "out.parquet"
    out.parent.mkdir()
    result, peak = merged(paths, out)
    print(
        f"\n{files:,} files of {rows:,} rows: {result['rows_per_second']:,} rows/s, {peak:,} MB at most, "
        f"{result['passes']} passes"
    )
    assert result["rows"] == files * rows
    assert digests(out) == {service: found for path in paths for service, found in digests(path).items()}
    assert peak < MOST_MB
    if files == 20:
        assert result["rows_per_second"] > LEAST_RATE
