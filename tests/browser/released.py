"""A run in which an album is released while somebody looks: an ordinary stretch, then the release; and a hostile name."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from pipeline.settings import Settings
from producers.catalogue.artists import build_catalogue
from producers.interrupt import Interrupt
from producers.produce import Produced, produce
from producers.publish.artists import publish_artists
from producers.scenarios.model import WEEKDAYS, Scenario
from tests.end_to_end.test_pipeline import SMALL

ORDINARY = SMALL.model_copy(update={"name": "ordinary", "events": 8_000, "release": None})
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><b>bold</b> &amp; ' \" `listening`" + " ünnamed" * 12
BEFORE = timedelta(minutes=2 * SMALL.minutes + 10)


def ordinary() -> Scenario:
    """Over before SMALL begins, of the same artists and listeners."""
    begins = datetime.now(UTC) - BEFORE
    return ORDINARY.model_copy(update={"starts": f"{WEEKDAYS[begins.weekday()]} {begins:%H:%M}"})


def release(settings: Settings) -> Produced:
    return produce(settings, SMALL, show_progress=False)


def rename(settings: Settings, artist_id: int, name: str) -> None:
    """Another name for an artist, as its producer would publish it."""
    some = build_catalogue(artists=20, seed=1)
    publish_artists(settings, replace(some, artist_ids=np.array([artist_id]), names=(name,)), Interrupt())
