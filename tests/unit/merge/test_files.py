"""Files merged into one: order, passes, what is refused with which sentence, and nothing half-written."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import ListeningError
from producers.merge import merge as module
from producers.merge.export import file_name
from producers.merge.merge import merge

Row = tuple[int, int, int]


def file_of(folder: Path, number: int, keys: list[Any], unit: str = "ms", **options: Any) -> Path:
    path = folder / f"{number:04}.parquet"
    table = pa.table(
        {
            "file": pa.array([number] * len(keys), pa.int64()),
            "row": pa.array(range(len(keys)), pa.int64()),
            "played_at": pa.array(keys, pa.int64()).cast(pa.timestamp(unit, "UTC")),
        }
    )
    pq.write_table(table, path, **options)
    return path


def read(path: Path) -> list[Row]:
    table = pq.read_table(path)
    columns = (table["played_at"].cast(pa.int64()), table["file"], table["row"])
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def test_files_of_many_sizes_with_equal_keys_empty_ones_and_many_row_groups_are_one_sorted_file(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    files = [sorted(random.integers(0, 50, size).tolist()) for size in (0, 1, 5_000, 0, 70_000, 300)]
    paths = [file_of(tmp_path, number, keys, row_group_size=999) for number, keys in enumerate(files)]
    done = merge(paths, tmp_path / "out.parquet")
    expected = sorted((key, file, row) for file, keys in enumerate(files) for row, key in enumerate(keys))
    assert read(tmp_path / "out.parquet") == expected
    assert (done.rows, done.files, done.passes) == (75_301, 6, 1)


@pytest.mark.parametrize("keys", [[], [3, 3, 4]])
def test_one_file_is_itself(tmp_path: Path, keys: list[int]) -> None:
    path = file_of(tmp_path, 0, keys)
    assert merge([path], tmp_path / "out.parquet").rows == len(keys)
    assert pq.read_table(tmp_path / "out.parquet").equals(pq.read_table(path))


def test_more_files_than_may_be_open_are_merged_in_passes_and_equal_keys_stay_in_the_files_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FAN_IN", 3)
    files = [[1, 1, number, number] if number else [0] for number in range(31)]
    paths = [file_of(tmp_path, number, keys) for number, keys in enumerate(map(sorted, files))]
    done = merge(paths, tmp_path / "out.parquet")
    rows = [(key, file, row) for file, keys in enumerate(files) for row, key in enumerate(sorted(keys))]
    assert read(tmp_path / "out.parquet") == sorted(rows)
    assert done.passes == 4  # 31 files, 11, 4, 2 and one
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*(path.name for path in paths), "out.parquet"])


def test_a_row_out_of_order_is_named_by_file_and_number_and_the_old_output_stays(tmp_path: Path) -> None:
    good, bad = file_of(tmp_path, 0, [1, 2]), file_of(tmp_path, 1, [*range(2_000, 62_000), 61_000, 61_998])
    out = tmp_path / "out.parquet"
    out.write_bytes(b"old")
    with pytest.raises(ListeningError, match=r"0001.parquet is out of order at row 60000 .*played_at is 0.999 s behind"):
        merge([good, bad], out)
    assert out.read_bytes() == b"old"
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(ListeningError, match=r"row 60000 "):
        merge([good, bad], out, tolerate=0.998)
    assert merge([good, bad], out, tolerate=0.999).rows == 60_004
    assert [key for key, _, _ in read(out)] == sorted([1, 2, *range(2_000, 62_000), 61_000, 61_998])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_bound_is_in_seconds_whatever_the_columns_unit(tmp_path: Path, unit: str) -> None:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    path = file_of(tmp_path, 0, [10 * per_second, 8 * per_second], unit, version="2.6")
    assert merge([path], tmp_path / "out.parquet", tolerate=2).rows == 2
    with pytest.raises(ListeningError, match="row 1 "):
        merge([path], tmp_path / "out.parquet", tolerate=1)


def test_what_cannot_be_merged_is_refused_in_one_sentence_naming_the_file(tmp_path: Path) -> None:
    good, out = file_of(tmp_path, 0, [1]), tmp_path / "out.parquet"
    text, cut, other, null = (tmp_path / f"{name}.parquet" for name in ("text", "cut", "other", "null"))
    text.write_text("no parquet at all")
    cut.write_bytes(good.read_bytes()[:-30])
    pq.write_table(pq.read_table(good).rename_columns(["file", "row", "at"]), other)
    pq.write_table(pa.table(pq.read_table(good).schema.empty_table().to_pydict() | {
        "file": pa.array([1, 1]), "row": pa.array([0, 1]), "played_at": pa.array([1, None], pa.timestamp("ms", "UTC")),
    }), null)  # fmt: skip
    damaged = file_of(tmp_path, 9, list(range(50_000)), compression="snappy")
    content = bytearray(damaged.read_bytes())
    content[1_000:300_000] = b"\xff" * len(content[1_000:300_000])
    damaged.write_bytes(content)
    for path, part in [
        (text, "can't be read as Parquet"), (cut, "can't be read as Parquet"), (damaged, "can't be read as Parquet"),
        (tmp_path / "absent.parquet", "can't be read as Parquet"), (tmp_path, "can't be read as Parquet"),
        (other, "column 2 is at (timestamp[ms, tz=UTC]), not played_at"), (null, "has no played_at at row 1"),
    ]:  # fmt: skip
        with pytest.raises(ListeningError) as refused:
            merge([good, path], out)
        assert re.match(re.escape(str(path)), str(refused.value)), refused.value
        assert part in str(refused.value)
        assert "\n" not in str(refused.value)
    for options, part in [
        ({"by": "nothing"}, "--by must be one of file, row, played_at"),
        ({"by": "row", "tolerate": 1.0}, "row is no instant but int64"),
    ]:
        with pytest.raises(ListeningError, match=re.escape(part)):
            merge([good], out, **options)
    with pytest.raises(ListeningError, match="is one of the files"):
        merge([good], good)
    for nowhere in (tmp_path / "no" / "folder", good / "file", tmp_path):
        with pytest.raises(ListeningError, match="can't be written"):
            merge([good], nowhere)
    assert not out.exists()
    assert not list(tmp_path.glob(".*"))


def test_every_service_has_a_file_name_of_its_own_within_the_folder() -> None:
    services = ["spotify", "a/b", "a%2Fb", "..", ".", ".a", "%2Ea", "Ä" * 32, "a b", "\0", "listening.v2"]
    names = [file_name(service) for service in services]
    assert len(set(names)) == len(services)
    assert all(Path(name).name == name and not name.startswith(".") and len(name) < 255 for name in names)
