"""The ledger holds every record that may have been sent, however the producer ended."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.drills.small_disk import small_disk
from pipeline.errors import UnavailableError
from pipeline.settings import Settings, load
from producers.columns import Columns, take
from producers.ledger import LEDGER_SCHEMA, Ledger, Status, read_ledger, requests_retried
from producers.publish.events import retries_in
from producers.scenarios.model import Scenario
from tests.small_disks import needs_mounts
from tests.unit.producers.worlds import identities, perform


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(data_dir=tmp_path)


@pytest.fixture(scope="module")
def records() -> Columns:
    return perform(Scenario(events=1_000, minutes=2, artists=20, users=100, release=None))


def _halves(records: Columns) -> tuple[Columns, Columns]:
    return take(records, slice(0, 600)), take(records, slice(600, 1_000))  # type: ignore[arg-type]


def test_a_run_without_sessions_has_an_empty_ledger(settings: Settings) -> None:
    assert read_ledger(settings).num_rows == 0
    assert read_ledger(settings).schema == LEDGER_SCHEMA


def test_a_closed_session_is_one_file_with_a_row_group_for_each_part(settings: Settings, records: Columns) -> None:
    ledger = Ledger(settings.ledger_dir / "one.parquet")
    for rows in _halves(records):
        answers = ledger.begin(rows)
        answers.handed = len(answers.status)
        answers.status[1:4] = [Status.ACKNOWLEDGED, Status.FAILED, Status.ACKNOWLEDGED]
        answers.partition[1], answers.offset[1] = 3, 77
        answers.partition[3], answers.offset[3] = 0, 2**40
        ledger.end(rows, answers)
    ledger.close()
    assert [path.name for path in settings.ledger_dir.iterdir()] == ["one.parquet"]
    assert pq.ParquetFile(ledger.path).num_row_groups == 2
    table = read_ledger(settings)
    assert table.schema == LEDGER_SCHEMA
    assert table["event_id"].to_pylist() == identities(records)
    for name in ("user_id", "artist_id", "track_id", "ms_played", "played_at", "sent_at"):
        assert table[name].to_pylist() == records[name].tolist()
    assert table["kind"].to_pylist() == [
        ("play", "client_double_send", "producer_retry")[kind] for kind in records["kind"].tolist()
    ]
    first: list[dict[str, Any]] = table.select(["status", "partition", "offset"]).slice(600, 4).to_pylist()
    assert first == [
        {"status": "unknown", "partition": None, "offset": None},
        {"status": "acknowledged", "partition": 3, "offset": 77},
        {"status": "failed", "partition": None, "offset": None},
        {"status": "acknowledged", "partition": 0, "offset": 2**40},
    ]
    assert {name: ledger.counts[name] for name in ("unknown", "acknowledged", "failed")} == {
        "unknown": 994, "acknowledged": 4, "failed": 2,
    }  # fmt: skip


def test_a_killed_session_leaves_what_it_was_about_to_send_as_unknown(settings: Settings, records: Columns) -> None:
    before, after = _halves(records)
    ledger = Ledger(settings.ledger_dir / "killed.parquet")
    answers = ledger.begin(before)
    answers.handed, answers.status = 600, [Status.ACKNOWLEDGED] * 600
    answers.partition, answers.offset = [0] * 600, list(range(600))
    ledger.end(before, answers)
    ledger.begin(after)  # and here the process is gone
    statuses = read_ledger(settings)["status"].to_pylist()
    assert statuses == ["acknowledged"] * 600 + ["unknown"] * 400


def test_a_session_that_ends_early_leaves_out_what_was_never_handed_over(settings: Settings, records: Columns) -> None:
    ledger = Ledger(settings.ledger_dir / "early.parquet")
    answers = ledger.begin(records)
    answers.handed = 10
    ledger.end(records, answers)
    ledger.close()
    assert read_ledger(settings)["event_id"].to_pylist() == identities(records)[:10]


def test_a_session_killed_while_it_joined_its_parts_is_read_once(settings: Settings, records: Columns) -> None:
    ledger = Ledger(settings.ledger_dir / "joined.parquet")
    answers = ledger.begin(records)
    answers.handed = 1_000
    ledger.end(records, answers)
    parts = settings.ledger_dir / "joined.parts"
    [part] = list(parts.iterdir())
    (settings.ledger_dir / "joined.joining").write_bytes(b"half a file")
    assert read_ledger(settings).num_rows == 1_000
    ledger.path.write_bytes(part.read_bytes())  # joined, and the parts not yet removed
    assert read_ledger(settings).num_rows == 1_000


def test_every_session_of_the_run_is_read(settings: Settings, records: Columns) -> None:
    for name in ("1-first", "2-second"):
        ledger = Ledger(settings.ledger_dir / f"{name}.parquet")
        answers = ledger.begin(records)
        answers.handed = 1_000
        ledger.end(records, answers)
        ledger.close()
    assert read_ledger(settings)["event_id"].to_pylist() == identities(records) * 2


def test_a_session_that_sent_nothing_leaves_no_file(settings: Settings) -> None:
    Ledger(settings.ledger_dir / "nothing.parquet").close()
    assert read_ledger(settings).num_rows == 0


def test_a_ledger_from_before_a_column_was_there_is_read_with_nulls_in_it(settings: Settings, records: Columns) -> None:
    ledger = Ledger(settings.ledger_dir / "old.parquet")
    answers = ledger.begin(records)
    answers.handed = 1_000
    ledger.end(records, answers)
    ledger.close()
    now = pq.read_table(ledger.path)
    added = ["service", "look_alike", "original_id", "poison"]
    pq.write_table(now.drop_columns(added), ledger.path)
    table = read_ledger(settings)
    assert table.schema == LEDGER_SCHEMA
    assert all(table[name].null_count == 1_000 for name in added)
    assert table.drop_columns(added).equals(now.drop_columns(added))


def test_poison_has_its_kind_and_its_id_only_where_that_can_still_be_read(settings: Settings) -> None:
    rows = perform(Scenario(events=2_000, minutes=2, artists=20, users=100, poison=0.4))
    ledger = Ledger(settings.ledger_dir / "poison.parquet")
    answers = ledger.begin(rows)
    answers.handed = 2_000
    ledger.end(rows, answers)
    with_id = {"trailing_bytes", "wrong_key", "misrouted", "implausible", "ahead"}
    without = {"wrong_magic", "unknown_schema", "undecodable", "too_large", "null_value"}
    table = read_ledger(settings).to_pylist()
    assert {row["poison"] for row in table if row["kind"] == "poison"} == with_id | without
    for row, identity in zip(table, identities(rows), strict=True):
        assert row["event_id"] == (None if row["poison"] in without else identity)
        assert (row["poison"] is None) == (row["kind"] != "poison")


def test_requests_that_were_sent_again_stand_in_the_session_s_file(settings: Settings, records: Columns) -> None:
    assert requests_retried(settings) is None
    for name, retried in (("1", 2), ("2", None), ("3", 5)):
        ledger = Ledger(settings.ledger_dir / f"{name}.parquet", requests_retried=retried)
        ledger.end(records, ledger.begin(records))
        ledger.close()
    assert requests_retried(settings) == 7


def test_the_client_s_statistics_say_how_often_it_sent_again() -> None:
    assert retries_in('{"brokers": {"a": {"txretries": 2, "tx": 9}, "b": {"txretries": 3}}}') == 5


def test_a_ledger_that_can_not_be_written_is_a_sentence_before_anything_is_published(
    settings: Settings, records: Columns
) -> None:
    settings.ledger_dir.parent.mkdir(parents=True)
    settings.ledger_dir.touch()
    with pytest.raises(UnavailableError, match=r"the ledger .* can't be written"):
        Ledger(settings.ledger_dir / "session.parquet").begin(records)


@needs_mounts
def test_answers_that_find_no_room_leave_the_part_unknown_and_the_session_readable(
    settings: Settings, records: Columns
) -> None:
    with small_disk(settings.ledger_dir, 4) as disk:
        ledger = Ledger(settings.ledger_dir / "session.parquet")
        answers = ledger.begin(records)
        answers.status[:] = [Status.ACKNOWLEDGED] * len(answers.status)
        answers.handed = len(answers.status)
        disk.fill()
        with pytest.raises(UnavailableError, match="No space left on device"):
            ledger.end(records, answers)
        with pytest.raises(UnavailableError, match="No space left on device"):
            ledger.close()
        assert read_ledger(settings)["status"].to_pylist() == ["unknown"] * len(answers.status)
