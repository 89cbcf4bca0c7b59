"""A run in which an album is released while somebody looks: an ordinary stretch, then the release."""

from datetime import UTC, datetime, timedelta

from pipeline.settings import Settings
from producers.produce import Produced, produce
from producers.scenarios.model import WEEKDAYS, Scenario
from tests.end_to_end.test_pipeline import SMALL

ORDINARY = SMALL.model_copy(update={"name": "ordinary", "events": 8_000, "release": None})
BEFORE = timedelta(minutes=2 * SMALL.minutes + 10)


def ordinary() -> Scenario:
    """Over before SMALL begins, of the same artists and listeners."""
    begins = datetime.now(UTC) - BEFORE
    return ORDINARY.model_copy(update={"starts": f"{WEEKDAYS[begins.weekday()]} {begins:%H:%M}"})


def release(settings: Settings) -> Produced:
    return produce(settings, SMALL, show_progress=False)
