"""A capture's file gives back exactly the records that were put into it, in their order."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.errors import RefusedError
from producers.capture import files
from producers.capture.files import PartitionFile, read_records
from producers.replay.records import Record

LONG = st.integers(-(2**63), 2**63 - 1)
BYTES = st.none() | st.binary(max_size=40)
RECORDS = st.lists(
    st.builds(
        Record,
        appended_at=LONG,
        partition=st.integers(0, 255),
        offset=LONG,
        key=BYTES,
        value=BYTES,
        headers=st.none() | st.lists(st.tuples(st.text(max_size=5), BYTES), max_size=3),
    ),
    max_size=30,
)
NULLS_AND_EMPTIES = [
    Record(-1, 0, 0, None, None, None),
    Record(0, 0, 1, b"", b"", []),
    Record(1, 0, 2, b"\0", b"\xff", [("", None), ("", b""), ("a", b"\0"), ("a", b"\xff\xfe")]),
]


def written(path: Path, records: Iterable[Record], partitions: int = 1) -> Path:
    with PartitionFile(path, partitions) as file:
        for record in records:
            file.add(record)
    return path


@example(NULLS_AND_EMPTIES, 1)
@example([], 1)
@settings(deadline=None)
@given(RECORDS, st.integers(1, 7))
def test_any_keys_values_headers_and_nulls_come_back_as_they_were_whatever_the_row_groups(
    records: list[Record], rows: int
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "HELD", rows)
        patch.setattr(files, "LEAST_ROWS", 1)
        path = written(Path(folder) / "p.parquet", records)
        assert list(read_records(path, len(records))) == records
        assert pq.ParquetFile(path).num_row_groups == -(-len(records) // rows)


def test_another_tool_reads_the_same(tmp_path: Path) -> None:
    path = written(tmp_path / "p.parquet", NULLS_AND_EMPTIES)
    rows = pl.read_parquet(path).with_columns(pl.col("appended_at").dt.epoch("ms")).to_dicts()
    assert [
        Record(**row | {"headers": row["headers"] and [(pair["name"], pair["value"]) for pair in row["headers"]]})
        for row in rows
    ] == NULLS_AND_EMPTIES


def test_large_values_end_a_row_group_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "HELD_BYTES", 4_000)
    records = [Record(offset, 0, offset, None, bytes(1_000), []) for offset in range(10)]
    path = written(tmp_path / "p.parquet", records, partitions=2)
    assert [pq.ParquetFile(path).metadata.row_group(group).num_rows for group in range(5)] == [2] * 5
    assert list(read_records(path, 10)) == records


def test_a_damaged_file_is_refused_wherever_a_bit_is_turned(tmp_path: Path) -> None:
    records = [Record(offset, 0, offset, b"%08d" % offset, bytes([offset]) * 50, []) for offset in range(200)]
    path = written(tmp_path / "p.parquet", records)
    whole = path.read_bytes()
    sentences = []
    for at in range(0, len(whole), 101):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        try:
            assert list(read_records(path, 200)) == records, f"byte {at}"  # of statistics, or the writing tool's name
        except RefusedError as error:
            sentences.append(str(error))
    assert all(str(path) in sentence for sentence in sentences)
    assert len(sentences) > 10
    path.write_bytes(whole[:-100])
    with pytest.raises(RefusedError, match="is damaged"):
        list(read_records(path, 200))


def test_a_file_with_another_number_of_records_than_its_manifest_says_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "p.parquet", NULLS_AND_EMPTIES)
    with pytest.raises(RefusedError, match="not what the manifest beside it says"):
        list(read_records(path, 4))
