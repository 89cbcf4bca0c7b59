"""The oracle must be able to fail: each kind of damage to a right store is reported, by the check it belongs to."""

from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import UnavailableError
from pipeline.verify import compare
from pipeline.verify.compare import Comparison, settle
from pipeline.verify.recompute import Recomputed
from pipeline.verify.rows import query
from pipeline.verify.tables import BATCHES, COUNTS, PLAYS, Shape, normalise
from pipeline.verify.verdict import Check
from tests.unit.verify.logs import BASE, log, play, tick
from tests.unit.verify.stored import Damage, StoredRows


def result() -> Recomputed:
    #  s        0  5  5' 12 14(skip)  31 (bad)       50 late  100
    #  offset   0  1  2  3  4         5  6      7    8        9
    return log(
        play("a", 0),
        play("b", 5, artist_id=2),
        play("b", 5, at=6, artist_id=2),
        play("c", 12, artist_id=2),
        play("d", 14, ms_played=5),
        play("e", 31, artist_id=3),
        play("f", 60, at=32),
        tick(90),
        play("g", 50, at=91),
        tick(100),
    )


def checks(stored: StoredRows, *, growing: bool = False, ours: Recomputed | None = None) -> dict[str, Check]:
    return {check.name: check for check in Comparison(ours or result(), stored).round(growing=growing)}


def test_a_right_store_is_exact_in_every_check() -> None:
    found = checks(StoredRows(result()))
    assert all(check.exact for check in found.values())
    assert {name: check.expected for name, check in found.items()} == {
        "batches": 10,
        "watermarks": 1,
        "conservation": 3,
        "plays": 5,  # a, b, c, e accepted, g late
        "duplicates": 1,
        "artist_counts": 4,
        "top_artists": 7,  # the window to 10 ranks artists 1, 2; to 20: 2, 1; to 30: 2; to 40 and to 50: 3
    }


def put(table: str, place: int, **changes: Any) -> tuple[str, Damage]:
    return table, lambda rows: rows[place].update(changes)


def drop(table: str, place: int) -> tuple[str, Damage]:
    return table, lambda rows: rows.pop(place)


def more(table: str, **changes: Any) -> tuple[str, Damage]:
    return table, lambda rows: rows.append(rows[0] | changes)


def swap(table: str, one: int, other: int) -> tuple[str, Damage]:
    def exchange(rows: list[dict[str, Any]]) -> None:
        first = {name: rows[one][name] for name in ("artist_id", "plays")}
        rows[one] |= {name: rows[other][name] for name in first}
        rows[other] |= first

    return table, exchange


@pytest.mark.parametrize(
    ("damage", "names", "sentence"),
    [
        (drop("plays", 0), {"plays"}, "partition 0, offset 0: nothing found, event_id 612e2e"),
        (more("plays", source_offset=6), {"plays"}, "partition 0, offset 6: event_id 612e"),
        (more("plays", source_offset=99), {"plays"}, "offset 99"),
        (more("plays", source_partition=5), {"plays"}, "partition 5, offset 0"),
        (more("plays"), {"plays"}, "found 2 times"),
        (put("plays", 1, artist_id=9), {"plays"}, "offset 1: artist_id is 9, expected 2"),
        (put("plays", 4, outcome="accepted"), {"plays"}, "offset 8: outcome is accepted, expected late"),
        (put("plays", 0, event_time=BASE + 1), {"plays"}, "event_time is 2026-01-01T00:00:00.001+00:00, expected 2026"),
        (put("plays", 0, country="fr"), {"plays"}, "country is fr, expected de"),
        (put("plays", 0, event_id=b"x" * 16), {"plays"}, "event_id is 7878"),
        (drop("duplicates", 0), {"duplicates"}, "partition 0, offset 2: nothing found"),
        (put("duplicates", 0, first_offset=0), {"duplicates"}, "offset 2: first_offset is 0, expected 1"),
        (more("duplicates", source_offset=3), {"duplicates"}, "offset 3"),
        (drop("artist_counts", 0), {"artist_counts", "conservation"}, "pane 2026-01-01T00:00:00.000+00:00, artist 1"),
        (put("artist_counts", 1, plays=2), {"artist_counts", "conservation"}, "plays is 2, expected 1"),
        (more("artist_counts", pane=BASE + 70_000, plays=0), {"artist_counts"}, "plays 0 found, nothing expected"),
        (swap("top_artists", 2, 3), {"top_artists"}, "shard 0, rank 1: artist_id is 1, expected 2"),
        (
            drop("top_artists", 6),
            {"top_artists"},
            "window end 2026-01-01T00:00:50.000+00:00, shard 0, rank 1: nothing found",
        ),
        (put("top_artists", 0, final=False), {"top_artists"}, "final is False, expected True"),
        (more("top_artists", window_end=BASE + 100_000), {"top_artists"}, "00:01:40"),
        (more("top_artists", rank=3, final=False), {"top_artists"}, "rank 3: artist_id 1"),
        (put("batches", 1, watermark=BASE), {"batches"}, "batch 3 to 5: watermark is 2026-01-01T00:00:00.000+00:00"),
        (put("batches", 3, watermark=BASE + 99_000), {"batches", "watermarks"}, "00:01:39"),
        (put("batches", 0, accepted=3), {"batches", "conservation"}, "accepted is 3, expected 2"),
        (put("batches", 2, ticks=0), {"batches", "conservation"}, "ticks is 0, expected 1"),
        (put("batches", 0, records=4), {"batches", "conservation"}, "records is 4, expected 3"),
        (drop("batches", 1), {"batches", "conservation"}, "begins at 6, expected 3"),
        (drop("batches", 3), {"batches", "conservation", "watermarks"}, "the batches reach offset 9, the log 10"),
        (more("batches", source_partition=1), {"batches"}, "partition 1: batches found, no such partition"),
        (more("batches", first_offset=10, last_offset=10), {"batches", "conservation"}, "ends at 10, the log at 9"),
    ],
)
def test_damage_is_found_and_said(damage: tuple[str, Damage], names: set[str], sentence: str) -> None:
    table, change = damage
    stored = StoredRows(result())
    change(stored.tables[table])
    found = checks(stored)
    assert {name for name, check in found.items() if not check.exact} == names
    assert any(sentence in difference for name in names for difference in found[name].differences), found


def test_a_provisional_list_of_a_window_that_is_not_due_is_nobodys_business() -> None:
    stored = StoredRows(result())
    stored.tables["top_artists"].append(stored.tables["top_artists"][0] | {"window_end": BASE + 100_000, "final": False})
    assert all(check.exact for check in checks(stored).values())


def test_pages_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "PAGE_ROWS", 2)
    stored = StoredRows(result())
    assert all(check.exact for check in checks(stored).values())
    stored.tables["plays"].append(stored.tables["plays"][0] | {"source_offset": 99})
    stored.tables["plays"].pop(2)
    assert (checks(stored)["plays"].differing, checks(stored)["plays"].agreed) == (2, 4)


def test_only_the_first_five_differences_are_told_but_all_are_counted() -> None:
    stored = StoredRows(result())
    stored.tables["top_artists"].clear()
    check = checks(stored)["top_artists"]
    assert (check.differing, len(check.differences)) == (7, 5)


def grown() -> StoredRows:
    """The store of a log that went on after the snapshot by a play and a tick, in the batch that the snapshot's end cuts."""
    stored = StoredRows(log_and_more(), batch=4)
    assert [batch["last_offset"] for batch in stored.tables["batches"]] == [3, 7, 11]
    return stored


def log_and_more() -> Recomputed:
    return log(
        play("a", 0),
        play("b", 5, artist_id=2),
        play("b", 5, at=6, artist_id=2),
        play("c", 12, artist_id=2),
        play("d", 14, ms_played=5),
        play("e", 31, artist_id=3),
        play("f", 60, at=32),
        tick(90),
        play("g", 50, at=91),
        tick(100),
        play("h", 120),
        tick(145),
    )


def test_rows_past_the_snapshot_disturb_nothing_but_counts_and_lists_which_are_not_compared() -> None:
    found = checks(grown(), growing=True)
    assert {name for name, check in found.items() if not check.exact} == {"artist_counts", "top_artists"}
    assert all("stop the producers" in found[name].not_compared for name in ("artist_counts", "top_artists"))


def test_damage_below_the_snapshot_is_found_in_a_growing_log_too() -> None:
    stored = grown()
    stored.tables["plays"][0]["artist_id"] = 9
    stored.tables["batches"][1]["late"] = 7
    found = checks(stored, growing=True)
    assert found["plays"].differing == 1
    assert found["batches"].differing == 1


class Time:
    """A clock that moves when somebody pauses, and things that happen at its instants."""

    def __init__(self, happens: dict[float, Any]) -> None:
        self.now, self.happens = 0.0, happens

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds
        for instant in [instant for instant in self.happens if instant <= self.now]:
            self.happens.pop(instant)()


def waited(stored: Any, time: Time, *, timeout: float = 120, extra: int = 0) -> tuple[bool, float]:
    found = settle(
        Comparison(result(), stored),
        lambda: extra,
        timeout=timeout,
        clock=time.clock,
        pause=time.pause,
        progress=lambda _: None,
    )
    return all(check.exact for check in found), time.now


def test_a_store_that_lags_is_waited_for() -> None:
    stored, full = StoredRows(result()), StoredRows(result())
    for table, rows in stored.tables.items():
        stored.tables[table] = rows[:1]
    time = Time(
        {
            7: lambda: stored.tables.update({name: full.tables[name] for name in ("plays", "duplicates", "batches")}),
            20: lambda: stored.tables.update(full.tables),
        }
    )
    assert waited(stored, time) == (True, 20)


def test_a_difference_that_stays_is_reported_before_the_time_is_over() -> None:
    stored = StoredRows(result())
    stored.tables["artist_counts"].pop()
    assert waited(stored, Time({})) == (False, compare.QUIET_SECONDS)


def test_a_store_that_never_covers_the_log_is_reported_when_the_time_is_over() -> None:
    stored = StoredRows(result())
    stored.tables["batches"].pop()
    assert waited(stored, Time({}), timeout=50) == (False, 50)


def test_a_growing_log_is_not_waited_for_longer_than_the_rows_below_the_snapshot() -> None:
    assert waited(grown(), Time({}), extra=1) == (False, 0)


class Away(StoredRows):
    away = True

    def rows(self, shape: Shape, first: int = 0, end: int | None = None) -> pa.Table:
        if self.away:
            raise UnavailableError("the store does not answer")
        return super().rows(shape, first, end)


def test_a_store_that_restarts_is_waited_for_and_one_that_stays_away_is_an_error() -> None:
    stored = Away(result())
    assert waited(stored, Time({10: lambda: setattr(stored, "away", False)})) == (True, 10)
    with pytest.raises(UnavailableError, match="does not answer"):
        waited(Away(result()), Time({}))


def test_queries_are_plain_selects_bounded_by_offsets() -> None:
    assert query(COUNTS) == "SELECT pane, artist_id, source_partition, plays FROM artist_counts FINAL"
    assert query(PLAYS, 10, 20).endswith(" FROM plays FINAL WHERE source_offset >= 10 AND source_offset < 20")
    assert query(PLAYS, 10).endswith(" FROM plays FINAL WHERE source_offset >= 10")
    assert query(BATCHES, 10, 20).endswith(" FROM batches FINAL")


def test_the_stores_types_become_ours() -> None:
    table = pa.table(
        {
            "plays": pa.array([3], pa.uint64()),
            "pane": pa.array([BASE], pa.timestamp("ms", "UTC")),
            "artist_id": pa.array([1], pa.int64()),
            "source_partition": pa.array([0], pa.uint16()),
        }
    )
    assert normalise(table, COUNTS).to_pylist() == [{"pane": BASE, "artist_id": 1, "source_partition": 0, "plays": 3}]
    ids = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"i" * 16], pa.binary(16)))
    shape = Shape("t", ("event_id",), ("country",))
    assert normalise(pa.table({"event_id": ids, "country": pa.array(["de"]).dictionary_encode()}), shape).to_pylist() == [
        {"event_id": b"i" * 16, "country": "de"}
    ]
