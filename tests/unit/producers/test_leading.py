"""Which windows an artist should lead, against counting by hand."""

from typing import Any

import numpy as np

from producers.columns import Columns
from producers.kinds import Kind
from producers.leading import Leading
from tests.unit.producers.worlds import RULES, START

MINUTE = 60_000
HOUR = 60 * MINUTE


def plays(*rows: tuple[float, int], **changes: Any) -> Columns:
    """(minute, artist): one play each."""
    played_at = np.array([START + round(minute * MINUTE) for minute, _ in rows])
    count = len(rows)
    return {
        "played_at": played_at,
        "artist_id": np.array([artist for _, artist in rows]),
        "true_sent_at": played_at + 1_000,
        "ms_played": np.full(count, 30_000),
        "kind": np.full(count, Kind.PLAY),
    } | changes


def windows(*batches: Columns, artist: int = 7, window_ms: int = 2 * MINUTE) -> tuple[float, float] | None:
    """In minutes after the start."""
    leading = Leading(10, START, START + 10 * MINUTE, RULES)
    for batch in batches:
        leading.add(batch)
    found = leading.windows(artist, window_ms)
    return None if found is None else ((found[0] - START) / MINUTE, (found[1] - START) / MINUTE)


def test_an_artist_leads_while_it_has_more_plays_than_any_other_in_the_window() -> None:
    #  minute      0   1   2     3   4     5 … : windows of two minutes that end at
    #  artist 7        1   2     1
    #  artist 3    2   1         1   2
    #  7 leads                 3 (3:1), 4 (3:1) and no other: 2 is 1:3, 5 is 1:3
    given = plays((0.1, 3), (0.2, 3), (1.1, 3), (1.2, 7), (2.1, 7), (2.9, 7), (3.0, 7), (3.1, 3), (4.1, 3), (4.2, 3))
    assert windows(given) == (3, 4)


def test_a_tie_is_not_leading_and_without_any_lead_there_is_no_window() -> None:
    assert windows(plays((0.5, 7), (0.6, 3))) is None
    assert windows(plays((0.5, 3))) is None


def test_of_several_rows_of_windows_the_longest_is_told() -> None:
    assert windows(plays((0.5, 7), (4, 7), (5, 7), (6, 7))) == (5, 8)


def test_only_what_counts_counts() -> None:
    decisive = plays((5.5, 7))
    assert windows(decisive) == (6, 7)
    assert windows(decisive | {"ms_played": np.array([29_999])}) is None
    assert windows(decisive | {"true_sent_at": decisive["played_at"] + RULES.grace_ms + 1}) is None
    assert windows(decisive | {"kind": np.array([Kind.CLIENT_DOUBLE_SEND])}) is None
    assert windows(decisive | {"played_at": decisive["played_at"] + HOUR}) is None


def test_no_window_ends_after_the_scenario_also_where_it_begins_within_a_minute() -> None:
    leading = Leading(10, START + 20_000, START + 3 * MINUTE + 20_000, RULES)
    leading.add(plays((0.5, 7), (1.5, 7), (2.5, 7), (3.2, 7)))
    assert leading.windows(7, MINUTE) == (START + MINUTE, START + 3 * MINUTE)
    assert Leading(10, START, START + 6_000, RULES).windows(7, MINUTE) is None


def test_a_world_too_large_to_be_counted_is_not() -> None:
    assert Leading.is_told(20_000, 7 * 24 * 60 * MINUTE // 10)
    assert not Leading.is_told(2_000_000, 24 * 60 * MINUTE)
