"""The places of copies, and the ledger that names them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.settings import load
from producers.ledger import LEDGER_SCHEMA, read_ledger
from producers.replay.places import Map, Places, map_ledger, mapped_ledger

ROWS = [(0, 0, 2, 0), (1, 0, 0, 0), (0, 2, 0, 1), (1, 1, 2, 1), (0, 1, 1, 2**40)]
"""Old partition and offset, new partition and offset."""


def written(folder: Path) -> list[Path]:
    """Two chunks, the second one written twice as after a kill."""
    paths = [folder / "0.parquet", folder / "1.parquet"]
    for path, rows in zip([*paths, paths[1]], (ROWS[:3], ROWS[3:4], ROWS[3:]), strict=True):
        places = Places()
        for row in rows:
            places.add(*row)
        assert len(places) == len(rows)
        places.write(path)
        assert len(places) == 0
    return paths


def ledger(*rows: tuple[str, int | None, int | None]) -> pa.Table:
    """Rows of status, partition and offset; each with an id of its own."""
    columns: dict[str, list[object]] = {name: [None] * len(rows) for name in LEDGER_SCHEMA.names}
    columns |= {
        "event_id": [bytes(15) + bytes([number]) for number in range(len(rows))],
        "kind": ["play"] * len(rows),
        "status": [status for status, _, _ in rows],
        "partition": [partition for _, partition, _ in rows],
        "offset": [offset for _, _, offset in rows],
    }
    return pa.table(columns, schema=LEDGER_SCHEMA)


def test_every_place_is_found_and_no_other(tmp_path: Path) -> None:
    places = Map([3, 4])
    places.load(written(tmp_path))
    asked = [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (2, 0), (-1, -1), (0, -1)]
    partition, offset = places.find(*(np.array(column, np.int64) for column in zip(*asked, strict=True)))
    expected = {(old, at): (new, to) for old, at, new, to in ROWS}
    assert list(zip(partition.tolist(), offset.tolist(), strict=True)) == [expected.get(place, (-1, -1)) for place in asked]


def test_acknowledged_rows_get_new_places_others_none_and_those_not_copied_are_left_out(tmp_path: Path) -> None:
    places = Map([3, 4])
    places.load(written(tmp_path))
    rows = ledger(
        ("acknowledged", 0, 1),
        ("unknown", None, None),
        ("acknowledged", 1, 3),
        ("failed", None, None),
        ("acknowledged", 1, 1),
    )
    mapped, left_out = mapped_ledger(rows, places)
    assert left_out == 1
    assert mapped.schema == LEDGER_SCHEMA
    assert [(row["event_id"][-1], row["status"], row["partition"], row["offset"]) for row in mapped.to_pylist()] == [
        (0, "acknowledged", 1, 2**40),
        (1, "unknown", None, None),
        (3, "failed", None, None),
        (4, "acknowledged", 2, 1),
    ]


def test_the_new_run_reads_the_mapped_ledger_as_its_own_also_when_it_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.replay.places.AT_ONCE", 1)
    old, new = (load(run=run, data_dir=tmp_path) for run in ("old", "new"))
    places = Map([3, 4])
    assert map_ledger(old, new, places) == (0, 0)
    assert not new.ledger_dir.exists()
    places.load(written(tmp_path))
    old.ledger_dir.mkdir(parents=True)
    pa.parquet.write_table(ledger(("acknowledged", 0, 0), ("acknowledged", 0, 2)), old.ledger_dir / "1.parquet")
    for _time in range(2):
        assert map_ledger(old, new, places) == (2, 0)
        assert read_ledger(new).select(["partition", "offset"]).to_pylist() == [
            {"partition": 2, "offset": 0},
            {"partition": 0, "offset": 1},
        ]
