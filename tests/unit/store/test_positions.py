"""Where a sink starts, and when what waits is due."""

import pytest

from pipeline.errors import RefusedError
from pipeline.settings import Settings
from pipeline.store.client import Pool
from pipeline.store.pending import LONGEST_SECONDS, MOST_ROWS, Pending
from pipeline.store.positions import Committed, Start, held, start_of
from pipeline.store.readers import PlaysReader, TopsReader
from pipeline.store.records import Record
from pipeline.store.tables import rows_of
from tests.unit.store.conftest import Put
from tests.unit.store.made import T0, play, plays, top

NONE = Committed(-1, "")


def test_without_a_commit_the_log_is_read_from_its_beginning() -> None:
    assert start_of("t", 0, 0, 10, NONE, is_held=False) == Start(0, "", rewind=False)


def test_a_commit_is_gone_on_from() -> None:
    assert start_of("t", 0, 0, 10, Committed(4, "77"), is_held=True) == Start(4, "77", rewind=False)


def test_a_commit_that_the_store_does_not_hold_is_taken_back() -> None:
    assert start_of("t", 0, 0, 10, Committed(4, "77"), is_held=False) == Start(0, "", rewind=True)


def test_records_lost_below_the_log_s_beginning_are_refused_and_named() -> None:
    with pytest.raises(RefusedError, match="offsets 4 to 6 are lost"):
        start_of("t", 0, 7, 10, Committed(4, "77"), is_held=True)
    with pytest.raises(RefusedError, match="offsets 0 to 6 are lost"):
        start_of("t", 0, 7, 10, NONE, is_held=False)


def test_a_commit_beyond_the_log_s_end_is_refused() -> None:
    with pytest.raises(RefusedError, match="recreated or cut"):
        start_of("t", 0, 0, 3, Committed(4, "77"), is_held=True)


def test_the_store_holds_what_its_batches_reach(pool: Pool, put: Put, settings: Settings) -> None:
    rules = settings.rules.fingerprint
    assert not held(pool.base, "plays", 0, Committed(1, "1"))
    put(PlaysReader(rules), 0, [plays(0, [play(0), play(1)], rules)])
    assert held(pool.base, "plays", 0, Committed(1, "2"))
    assert not held(pool.base, "plays", 0, Committed(2, "3"))
    assert not held(pool.base, "plays", 1, Committed(1, "2"))
    assert not held(pool.base, "plays", 0, Committed(1, ""))
    assert held(pool.base, "plays", 1, Committed(3, "0")), "three records, all of them others'"
    for kind in ("artist-counts", "top-artists", "artists"):
        assert not held(pool.base, kind, 0, Committed(1, "1"))


def test_a_commit_that_somebody_else_made_is_not_held_whatever_the_store_has(pool: Pool, put: Put) -> None:
    put(TopsReader(), 0, [top(T0, 0, [(1, 2)], final=True, counted=5)])
    assert held(pool.base, "top-artists", 0, Committed(1, "1"))
    assert not held(pool.base, "top-artists", 0, Committed(9, "")), "reset to the latest by a tool"
    assert not held(pool.base, "top-artists", 0, Committed(9, "1")), "moved, its metadata kept"


def test_rows_wait_for_company_but_not_long() -> None:
    names, pending = rows_of("artists", [{"artist_id": 1, "name": "a"}]), Pending()
    assert pending.due_in(100.0) is None
    pending.add(0, 1, [("artists", names)], 100.0)
    pending.add(0, 2, [("artists", names)], 100.0 + LONGEST_SECONDS / 2)
    assert pending.due_in(100.0) == pytest.approx(LONGEST_SECONDS)
    assert pending.due_in(100.0 + LONGEST_SECONDS) == 0.0
    assert [(table, rows.num_rows) for table, rows in pending.inserts()] == [("artists", 2)]
    assert pending.positions == {0: 2}


def test_enough_rows_are_due_at_once_and_batches_are_written_last() -> None:
    pending, rules = Pending(), "r=1"
    rows = [play(offset, "late" if offset % 2 else "duplicate") for offset in range(MOST_ROWS)]
    pending.add(0, 1, PlaysReader(rules).read(Record(0, 0, *plays(0, rows, rules))) or [], 0.0)
    assert pending.due_in(0.0) == 0.0
    assert [table for table, _ in pending.inserts()] == ["plays", "duplicates", "batches"]
