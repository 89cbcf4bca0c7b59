"""Rows for the run's tables, made in Python, so that expected answers can be computed in Python too."""

import random
from typing import Any

from pipeline.store.tables import rows_of
from pipeline.store.writer import ClickHouseWriter
from tests.unit.store.made import T0, event_id

Row = dict[str, Any]


def some_plays(number: int = 400) -> list[Row]:
    """Accepted and late plays of two partitions over an hour, with ties, in the order of their offsets."""
    dice = random.Random(7)
    made = []
    for offset in range(number):
        played = T0 + dice.randrange(3_600_000)
        made.append(
            {
                "source_partition": offset % 2,
                "source_offset": offset // 2,
                "event_id": event_id(offset).bytes,
                "user_id": 1000 + dice.randrange(40),
                "artist_id": dice.randrange(1, 12),
                "track_id": dice.randrange(1, 60),
                "event_time": played,
                "played_at": played,
                "sent_at": played + dice.randrange(60_000),
                "appended_at": played + 61_000,
                "ms_played": dice.randrange(30_000, 240_000),
                "platform": dice.choice(["web", "ios", "android"]),
                "service": "own",
                "country": dice.choice(["DE", "BR", "JP"]),
                "outcome": "late" if dice.random() < 0.1 else "accepted",
            }
        )
    return made


def some_artists() -> list[Row]:
    """Two of the artists that have plays are missing."""
    return [{"artist_id": artist, "name": f"Artist {artist}; 'the {artist}th'"} for artist in range(1, 10)]


def fill(client: Any, database: str) -> None:
    """Each row twice, in parts of their own: only FINAL sees each once."""
    writer = ClickHouseWriter(client, database)
    for _ in range(2):
        writer.write("plays", rows_of("plays", some_plays()))
        writer.write("artists", rows_of("artists", some_artists()))
