"""Questions to a broker, each with a bound, and one for all together."""

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from pipeline.errors import UnavailableError

REQUEST_SECONDS, ALL_SECONDS = 3.0, 5.0
PASSING = frozenset(
    {
        # A broker that has just started, made a topic, or moves a leader or a group's coordinator.
        *(KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS),
        *(KafkaError._WAIT_COORD, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION),
        *(KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION),
    }
)
_AGAIN_SECONDS, _PATIENCE_SECONDS = 0.1, 1.0
Answer = TypeVar("Answer")


class Bounded:
    """The time for all questions, which begins to run when this is made."""

    def __init__(self, bootstrap: str, seconds: float = ALL_SECONDS) -> None:
        self._bootstrap, self._seconds = bootstrap, seconds
        self._ends = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left for a question. Raises UnavailableError where none are."""
        left = min(REQUEST_SECONDS, self._ends - time.monotonic())
        if left <= 0:
            raise UnavailableError(f"the broker at {self._bootstrap} took more than {self._seconds:.0f} s to answer")
        return left

    def asked(self, what: str, ask: Callable[[float], Answer]) -> Answer:
        """The answer of `ask`, which is given its seconds; asked again for a moment where the trouble is a passing one.

        Raises UnavailableError naming `what` was not told, and why.
        """
        began = time.monotonic()
        while True:
            try:
                return ask(self.left())
            except KafkaException as error:
                if error.args[0].code() in PASSING and time.monotonic() - began < _PATIENCE_SECONDS:
                    time.sleep(_AGAIN_SECONDS)
                    continue
                why = error.args[0].str()
            except TimeoutError:
                why = "not in time"
            raise UnavailableError(f"the broker at {self._bootstrap} did not tell {what}: {why}")
