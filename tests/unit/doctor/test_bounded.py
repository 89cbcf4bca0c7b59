"""The doctor's patience with a broker: a bound for a question, and one for all of them together, on a clock of its own."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from pipeline.doctor import bounded
from pipeline.doctor.bounded import Bounded
from pipeline.errors import UnavailableError


class Clock:
    """Moved by who waits."""

    def __init__(self) -> None:
        self.now = 50.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(bounded, "time", clock)
    return clock


def test_of_a_silent_broker_each_question_waits_three_seconds_and_all_together_five(clock: Clock) -> None:
    given = []

    def silent(seconds: float) -> None:
        given.append(seconds)
        clock.sleep(seconds)
        raise TimeoutError

    asking = Bounded("here:9092")
    for _ in range(2):
        with pytest.raises(UnavailableError, match="here:9092 did not tell the topics: not in time"):
            asking.asked("the topics", silent)
    for _ in range(3):
        with pytest.raises(UnavailableError, match="took more than 5 s to answer"):
            asking.asked("the topics", silent)
    assert (given, clock.now) == ([3.0, 2.0], 55.0)


def test_a_passing_trouble_is_asked_again_for_a_second_and_any_other_told_at_once(clock: Clock) -> None:
    asked = []

    def troubled(code: int) -> None:
        asked.append(code)
        raise KafkaException(KafkaError(code))

    for code, times in ((KafkaError.NOT_COORDINATOR, 11), (KafkaError.TOPIC_AUTHORIZATION_FAILED, 1)):
        asking, began = Bounded("here:9092"), clock.now
        with pytest.raises(UnavailableError, match="did not tell the groups"):
            asking.asked("the groups", lambda _seconds, code=code: troubled(code))  # type: ignore[misc]
        assert times - 1 <= asked.count(code) <= times + 1
        assert clock.now - began == pytest.approx((asked.count(code) - 1) * 0.1)
    assert Bounded("here:9092").asked("the groups", lambda seconds: seconds) == 3.0
