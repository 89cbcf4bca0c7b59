"""When plays are sent: lateness as stated, and what was heard without connection is uploaded together."""

from typing import Any

import numpy as np
import pytest

from producers.columns import Columns
from producers.faults.lateness import Sending
from producers.scenarios.parts import Lateness
from tests.unit.producers.p_values import REFUSED, chi_square, kolmogorov_smirnov
from tests.unit.producers.worlds import RULES, START

WEEK = START + 7 * 86_400_000
HOUR = 3_600_000


def sent(lateness: Lateness, plays: int, *, offline: Any = False, session: Any = None, end: int = WEEK) -> Columns:
    """Plays of a second each, sent."""
    number = np.arange(plays)
    rows: Columns = {
        "played_at": START + number * 10,
        "session_id": number if session is None else session,
        "sequence": np.zeros(plays, np.int64),
        "offline": np.full(plays, offline),
    }
    return Sending(lateness, RULES, end, seed=5).send(rows)


def test_most_plays_are_sent_within_20_seconds_most_of_them_at_once() -> None:
    rows = sent(Lateness(late=0), 50_000)
    seconds = (rows["true_sent_at"] - rows["played_at"]) / 1000
    edges = np.array([0, 0.1, 0.5, 1, 2, 5, 10, 20])
    counts, _ = np.histogram(seconds, edges)
    assert chi_square(counts, np.diff((edges / 20) ** (1 / 3))) > REFUSED
    assert counts.sum() == 50_000


def test_late_ones_have_their_share_and_are_too_late_for_the_grace_but_in_time_for_the_horizon() -> None:
    rows = sent(Lateness(late=0.1), 50_000)
    delay = rows["true_sent_at"] - rows["played_at"]
    late = delay > RULES.grace_ms
    assert chi_square([late.sum(), (~late).sum()], [0.1, 0.9]) > REFUSED
    assert delay[late].min() >= RULES.grace_ms + 2 * RULES.pane_ms
    assert delay.max() <= RULES.horizon_ms // 2
    # From the grace and two panes to half an hour, quadratic.
    least, most = 80_000, 1_800_000
    assert kolmogorov_smirnov(delay[late], lambda x: np.sqrt(np.clip((x - least) / (most - least), 0, 1))) > REFUSED


def test_offline_sessions_are_uploaded_over_an_hour_and_over_a_day_later_by_the_stated_shares() -> None:
    rows = sent(Lateness(late=0, offline=0.2, over_1_h=0.1, over_24_h=0.02), 40_000, offline=True)
    hours = (rows["true_sent_at"] - rows["played_at"]) / HOUR
    counts, _ = np.histogram(hours, [0, 1, 24, 1_000])
    assert chi_square(counts.tolist(), [0.1, 0.08, 0.02]) > REFUSED

    def stated(x: Any) -> Any:
        """Log-uniform in each piece: 2 minutes, an hour, a day, three days."""
        return np.interp(np.log(x), np.log([2 / 60, 1, 24, 72]), [0, 0.5, 0.9, 1])

    assert kolmogorov_smirnov(hours, stated) > REFUSED
    assert rows["offline"].all()


def test_a_session_without_connection_is_uploaded_together_in_its_order_and_what_comes_after_is_sent_at_once() -> None:
    sending = Sending(Lateness(late=0, offline=0.5), RULES, WEEK, seed=5)
    minutes = np.array([0, 3, 6])

    def step(first_minute: int, sequence: int) -> Any:
        rows = {
            "played_at": START + (first_minute + minutes) * 60_000,
            "session_id": np.full(3, 77),
            "sequence": sequence + np.arange(3),
            "offline": np.full(3, True),
        }
        return sending.send(rows)["true_sent_at"]

    first = step(0, 0)
    back_at = first[0]
    assert (np.diff(first[first > START + 400_000]) <= 50).all()
    again = step(9, 3)  # another step knows the session
    played_at = START + (9 + minutes) * 60_000
    for sent_at, played in zip(again.tolist(), played_at.tolist(), strict=True):
        assert abs(sent_at - back_at) <= 5 * 50 if played < back_at else sent_at - played <= 20_000


def test_nothing_is_sent_at_the_end_or_after_it_also_where_the_connection_would_be_back_later() -> None:
    end = START + HOUR
    rows = sent(Lateness(late=0.2, offline=0.5, over_1_h=0.5), 30_000, offline=True, end=end)
    assert rows["true_sent_at"].max() <= end - 2
    assert (rows["true_sent_at"] >= rows["played_at"]).all()
    assert np.mean(rows["true_sent_at"] > end - 60_000) < 0.05, "and they don't crowd before it"


@pytest.mark.parametrize("plays", [0, 1])
def test_few_plays_are_no_trouble(plays: int) -> None:
    assert len(sent(Lateness(offline=0.5), plays, offline=True)["true_sent_at"]) == plays
