"""The ceiling of the dead-letter queue."""

import pytest

from pipeline.errors import RefusedError
from pipeline.workers.ceiling import Ceiling


def test_more_invalid_events_than_allowed_over_the_stretch_stop_the_worker_and_name_the_reasons() -> None:
    ceiling = Ceiling(0.5, 100)
    ceiling.count(40, ["wrong_magic"] * 40)  # too few events to judge
    with pytest.raises(RefusedError, match=r"65 of the last 105 events are invalid \(wrong_magic 55, misrouted 10\)"):
        ceiling.count(0, ["wrong_magic"] * 15 + ["misrouted"] * 10)


def test_poison_within_the_ratio_goes_on_for_ever() -> None:
    ceiling = Ceiling(0.5, 100)
    for _ in range(1000):
        ceiling.count(5, ["undecodable"] * 5)


def test_old_poison_is_forgotten() -> None:
    ceiling = Ceiling(0.5, 100)
    ceiling.count(1, ["undecodable"] * 60)
    ceiling.count(100, [])
    for _ in range(10):
        ceiling.count(60, ["undecodable"] * 50)
