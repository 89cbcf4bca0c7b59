"""Where the copies of one event lie, and what became of all events."""

import uuid
from dataclasses import dataclass

from pipeline.errors import ListeningError
from pipeline.settings import Settings
from pipeline.store.ask import rows


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of an event as it lies in the source log. `outcome`: accepted, late or duplicate."""

    partition: int
    offset: int
    outcome: str
    first_offset: int
    user_id: int
    artist_id: int
    played_at_ms: int
    sent_at_ms: int
    appended_at_ms: int


def story(settings: Settings, event_id: str | uuid.UUID) -> list[Copy]:
    """Every stored copy of one event, in the order of the log; empty where it is unknown.

    A first sighting that was skipped (played too shortly) is not stored, only its duplicates are: their first_offset
    says where it lies. Raises ListeningError where the id is no UUID, UnavailableError without a store.
    """
    try:
        wanted = uuid.UUID(str(event_id))
    except ValueError:
        raise ListeningError(f"{event_id} is no event id: it must be a UUID like {uuid.UUID(int=0)}") from None
    common = "user_id, artist_id, " + ", ".join(
        f"toUnixTimestamp64Milli({name}) AS {name}_ms" for name in ("played_at", "sent_at", "appended_at")
    )
    found = rows(
        settings,
        f"""
        SELECT source_partition, source_offset, outcome, source_offset AS first_offset, {common}
        FROM plays FINAL WHERE event_id = {{id:UUID}}
        UNION ALL
        SELECT source_partition, source_offset, 'duplicate' AS outcome, first_offset, {common}
        FROM duplicates FINAL WHERE event_id = {{id:UUID}}
        """,
        {"id": str(wanted)},
    )
    copies = [
        Copy(
            partition=row.pop("source_partition"),
            offset=row.pop("source_offset"),
            **row,
        )
        for row in found
    ]
    return sorted(copies, key=lambda copy: (copy.partition, copy.offset))


TOTALS = ("records", "ticks", "absent", "accepted", "duplicates", "late", "skipped", "suspect", "invalid")


def outcome_totals(settings: Settings) -> dict[str, int]:
    """Sums over all of `batches` by its columns: records, ticks, absent, and every outcome (`duplicates` in the plural)."""
    sums = ", ".join(f"sum({name}) AS total_{name}" for name in TOTALS)
    (row,) = rows(settings, f"SELECT {sums} FROM batches FINAL")
    return {name: int(row[f"total_{name}"]) for name in TOTALS}
