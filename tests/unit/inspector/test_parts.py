"""Stored records, their distances and senders, on frames of a few rows."""

import polars as pl

from pipeline.inspector.distances import distances
from pipeline.inspector.offenders import offenders
from pipeline.inspector.stored import placed_in
from pipeline.inspector.view import bar
from pipeline.outcomes import Outcome
from pipeline.verify.ledger import SCHEMA

STORED = {
    "partition": pl.Int64,
    "offset": pl.Int64,
    "outcome": pl.Int64,
    "first_offset": pl.Int64,
    "near": pl.Boolean,
    "event_id": pl.Binary,
    "user_id": pl.Int64,
    "event_time": pl.Int64,
    "platform": pl.String,
    "service": pl.String,
}


def stored(*rows: tuple[int, int, Outcome, int, bool, int, str]) -> pl.DataFrame:
    """(partition, offset, outcome, first offset, near, event time, service)"""
    filled = [
        (partition, offset, int(outcome), first, near, bytes(16), 7, time, "ios", service)
        for partition, offset, outcome, first, near, time, service in rows
    ]
    return pl.DataFrame(filled, STORED, orient="row")


def test_a_distance_is_what_the_watermark_went_on_by_and_partitions_have_their_own() -> None:
    #  partition 0   offset  0      1        2 (copy of 0, played then)      partition 1 runs elsewhere
    #                time    1000   61 000   1000
    rows = stored(
        (0, 0, Outcome.ACCEPTED, 0, False, 1_000, "a"),
        (0, 1, Outcome.ACCEPTED, 1, False, 61_000, "a"),
        (0, 2, Outcome.DUPLICATE, 0, False, 1_000, "a"),
        (1, 0, Outcome.ACCEPTED, 0, False, 9_000_000, "a"),
        (1, 1, Outcome.DUPLICATE, 0, False, 9_000_000, "a"),
    )
    copies = pl.DataFrame(
        {"partition": [0, 1], "offset": [2, 1], "kind": ["client_double_send", "producer_retry"], "first_offset": [0, 0]}
    )
    found = distances(rows, copies)
    assert {kind: [name for name, number in bins.items() if number] for kind, bins in found.items()} == {
        "client_double_send": ["1 min"],
        "producer_retry": ["at once"],
    }


def test_a_copy_of_a_play_that_is_not_stored_is_as_far_as_the_clock_there() -> None:
    #  offset 1 was skipped and isn't stored; its copy at 3
    rows = stored(
        (0, 0, Outcome.ACCEPTED, 0, False, 0, "a"),
        (0, 2, Outcome.ACCEPTED, 2, False, 9_000, "a"),
        (0, 3, Outcome.DUPLICATE, 1, False, 0, "a"),
    )
    copies = pl.DataFrame({"partition": [0], "offset": [3], "kind": ["producer_retry"], "first_offset": [1]})
    assert distances(rows, copies)["producer_retry"]["10 s"] == 1


def test_the_service_with_the_greatest_share_of_copies_is_the_worst() -> None:
    rows = stored(
        (0, 0, Outcome.ACCEPTED, 0, False, 0, "good"),
        (0, 1, Outcome.ACCEPTED, 1, False, 0, "bad"),
        (0, 2, Outcome.DUPLICATE, 1, False, 0, "bad"),
        (0, 3, Outcome.ACCEPTED, 0, True, 0, "near"),
    )
    senders = offenders(rows)["service"]
    assert [(one.name, one.events, one.duplicates, one.near_duplicates) for one in senders] == [
        ("near", 1, 0, 1),
        ("bad", 2, 1, 0),
        ("good", 1, 0, 0),
    ]


def test_what_the_ledger_knows_and_the_store_only_counted_was_skipped_or_poison() -> None:
    rows = stored((0, 0, Outcome.ACCEPTED, 0, False, 0, "a"))
    ids = [bytes([number]) * 16 for number in range(4)]
    ledger = pl.DataFrame(
        [
            (ids[0], "play", "acknowledged", 0, 0, None, None),
            (ids[1], "play", "acknowledged", 0, 1, None, None),
            (None, "poison", "acknowledged", 0, 2, None, None),
            (ids[2], "play", "acknowledged", 0, 3, None, None),  # past what the store has reached
            (ids[3], "play", "unknown", None, None, None, None),
        ],
        SCHEMA,
        orient="row",
    )
    placed = placed_in(ledger, rows, {0: 2})
    outcomes = sorted((offset, Outcome(outcome)) for offset, outcome in placed.select("offset", "outcome").iter_rows())
    assert outcomes == [(0, Outcome.ACCEPTED), (1, Outcome.SKIPPED), (2, Outcome.INVALID)]


def test_a_bar_shows_whatever_is_there_at_all() -> None:
    assert (bar(0, 4), bar(1e-9, 4), bar(0.5, 4), bar(1, 4)) == ("", "▏", "██", "████")
