"""A scenario as an Avro file: any Avro library reads it, its ledger lies beside it, the same seed gives the same bytes."""

from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow.parquet as pq
import pytest

import schemas
from pipeline.errors import ListeningError
from producers.container import BLOCK_EVENTS, write_events
from producers.ledger import LEDGER_SCHEMA
from producers.listeners.people import COUNTRIES, PLATFORMS, SERVICES
from producers.scenarios.model import Scenario
from producers.world import build_world
from tests.unit.producers.worlds import RULES, START, identities, perform

SCENARIO: Any = Scenario(
    events=25_000,
    minutes=20,
    artists=100,
    users=3_000,
    seed=7,
    duplicates={"cross_service": 0.1},
    release={"at": "minute 9"},
)


def write(path: Path, codec: Any = "deflate", seed: int = 7, **options: Any) -> Any:
    world = build_world(SCENARIO.model_copy(update={"seed": seed}))
    return write_events(world, RULES, START, path, codec, **options)


@pytest.mark.parametrize("codec", ["deflate", "null"])
def test_fastavro_reads_the_events_of_the_script_in_their_order(tmp_path: Path, codec: str) -> None:
    written = write(tmp_path / "events.avro", codec)
    records = perform(SCENARIO)
    with (tmp_path / "events.avro").open("rb") as file:
        reader: Any = fastavro.reader(file)
        assert reader.metadata["avro.codec"] == codec
        assert fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(reader.writer_schema), "sha256") == (
            fastavro.schema.fingerprint(
                fastavro.schema.to_parsing_canonical_form(schemas.schema(schemas.EVENTS_SUBJECT, 1)), "sha256"
            )
        )
        events = list(reader)
    assert written.events == len(events) == 25_000
    assert written.bytes == (tmp_path / "events.avro").stat().st_size
    assert [event["event_id"] for event in events] == identities(records)
    for name in ("user_id", "artist_id", "ms_played", "sequence", "offline"):
        assert [event[name] for event in events] == records[name].tolist()
    for name, words in (("platform", PLATFORMS), ("service", SERVICES), ("country", COUNTRIES)):
        assert [event[name] for event in events] == [words[index] for index in records[name].tolist()]
    for name in ("played_at", "sent_at"):
        assert [round(event[name].timestamp() * 1000) for event in events] == records[name].tolist()


def test_a_block_holds_a_bounded_number_of_events(tmp_path: Path) -> None:
    write(tmp_path / "events.avro")
    with (tmp_path / "events.avro").open("rb") as file:
        sizes = [block.num_records for block in fastavro.block_reader(file)]
    assert max(sizes) <= BLOCK_EVENTS
    assert sum(sizes) == 25_000


def test_the_ledger_beside_it_has_a_row_for_each_event_in_order_and_says_written(tmp_path: Path) -> None:
    written = write(tmp_path / "events.avro")
    assert written.ledger == tmp_path / "events.avro.ledger.parquet"
    table = pq.read_table(written.ledger)
    records = perform(SCENARIO)
    assert table.schema == LEDGER_SCHEMA
    assert set(table["status"].to_pylist()) == {"written"}
    assert table["offset"].to_pylist() == list(range(25_000))
    assert table["partition"].null_count == 25_000
    assert table["event_id"].to_pylist() == identities(records)
    assert written.kinds == {"play": 21_250, "client_double_send": 750, "producer_retry": 500, "cross_service": 2_500}


def test_the_same_seed_gives_the_same_bytes_in_both_files_and_another_seed_gives_others(tmp_path: Path) -> None:
    one, again, other = (write(tmp_path / name, seed=seed) for name, seed in (("one", 7), ("again", 7), ("other", 8)))
    assert one.file.read_bytes() == again.file.read_bytes()
    assert one.ledger.read_bytes() == again.ledger.read_bytes()
    assert one.file.read_bytes() != other.file.read_bytes()
    assert one.ledger.read_bytes() != other.ledger.read_bytes()


def test_what_is_there_is_kept_unless_it_is_said_that_it_may_go(tmp_path: Path) -> None:
    path = tmp_path / "events.avro"
    path.write_bytes(b"mine")
    with pytest.raises(ListeningError, match="--force"):
        write(path)
    assert path.read_bytes() == b"mine"
    write(path, force=True)
    assert path.read_bytes()[:4] == b"Obj\1"
    path.unlink()
    with pytest.raises(ListeningError, match=r"ledger\.parquet is there already"):
        write(path)


def test_where_it_can_not_be_written_it_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ListeningError, match="is no folder"):
        write(tmp_path / "nowhere" / "events.avro")
    (tmp_path / "events.avro.unfinished").mkdir()
    with pytest.raises(ListeningError, match="can't be written"):
        write(tmp_path / "events.avro")
    assert not (tmp_path / "events.avro").exists()


def test_poison_is_refused_since_a_file_holds_events_alone(tmp_path: Path) -> None:
    poisoned = build_world(SCENARIO.model_copy(update={"poison": Scenario(poison=0.1).poison}))
    with pytest.raises(ListeningError, match="no events"):
        write_events(poisoned, RULES, START, tmp_path / "events.avro", "null")
    assert list(tmp_path.iterdir()) == []


def test_the_columns_of_the_script_are_numbers_that_the_ledger_names(tmp_path: Path) -> None:
    written = write(tmp_path / "events.avro")
    table, records = pq.read_table(written.ledger), perform(SCENARIO)
    assert table["service"].to_pylist() == [SERVICES[index] for index in records["service"].tolist()]
    reports = np.array(table["kind"].to_pylist()) == "cross_service"
    originals = table["original_id"].to_pylist()
    assert [original is not None for original in originals] == reports.tolist()
    assert {original for original in originals if original} <= set(table["event_id"].to_pylist())
    assert table["poison"].null_count == 25_000
