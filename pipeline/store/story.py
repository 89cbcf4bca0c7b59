"""Where the copies of one event lie, and what became of all events."""

import uuid
from dataclasses import dataclass

from pipeline.errors import ListeningError
from pipeline.settings import Settings
from pipeline.store.ask import Asked, rows

MOST_COPIES = 10_000
"""Of one event: more are a broken client's, and the first tell all there is to tell."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of an event as it lies in the source log. `outcome`: accepted, late, suspect or duplicate. `first_offset`: of
    the record that it repeats, its own where it repeats none."""

    event_id: str
    partition: int
    offset: int
    outcome: str
    first_offset: int
    service: str
    platform: str
    user_id: int
    artist_id: int
    played_at_ms: int
    sent_at_ms: int
    appended_at_ms: int


def story(settings: Settings, event_id: str | uuid.UUID, asked: Asked = rows) -> list[Copy]:
    """Every stored copy of one event, in the order of the log, and other services' reports of its listen; empty where it is
    unknown. Of more than MOST_COPIES the first so many.

    A first sighting that was skipped (played too shortly) is not stored, only its duplicates are: their first_offset
    says where it lies. Raises ListeningError where the id is no UUID, UnavailableError without a store.
    """
    try:
        wanted = uuid.UUID(str(event_id))
    except ValueError:
        raise ListeningError(f"{event_id} is no event id: it must be a UUID like {uuid.UUID(int=0)}") from None
    copies = _copies(settings, asked, "event_id = {id:UUID}", "event_id = {id:UUID}", {"id": str(wanted)})
    reports = [report for copy in copies if copy.outcome != "duplicate" for report in _reports(settings, asked, copy)]
    return sorted({*copies, *reports}, key=lambda copy: (copy.partition, copy.offset))


def _reports(settings: Settings, asked: Asked, copy: Copy) -> list[Copy]:
    """What reports the same listen under other ids: the record that this one repeats, all that repeat that one, and their
    copies."""
    place: dict[str, str | int] = {"partition": copy.partition, "first": copy.first_offset}
    here = "source_partition = {partition:UInt16}"
    found = _copies(
        settings, asked, f"{here} AND (source_offset = {{first:UInt64}} OR suspect_of = {{first:UInt64}})", "1 = 0", place
    )
    others = {one.event_id for one in found} - {copy.event_id}
    copies = [_copies(settings, asked, "1 = 0", "event_id = {id:UUID}", {"id": other}) for other in sorted(others)]
    return [one for one in [*found, *(one for some in copies for one in some)] if one.event_id in others]


def _copies(settings: Settings, asked: Asked, plays: str, duplicates: str, parameters: dict[str, str | int]) -> list[Copy]:
    """Rows of `plays` and `duplicates` by a condition each."""
    common = "toString(event_id) AS id, service, platform, user_id, artist_id, " + ", ".join(
        f"toUnixTimestamp64Milli({name}) AS {name}_ms" for name in ("played_at", "sent_at", "appended_at")
    )
    found = asked(
        settings,
        f"""
        SELECT source_partition, source_offset, outcome, ifNull(suspect_of, source_offset) AS first_offset, {common}
        FROM plays FINAL WHERE {plays}
        ORDER BY source_partition, source_offset LIMIT {MOST_COPIES}
        UNION ALL
        SELECT source_partition, source_offset, 'duplicate' AS outcome, first_offset, {common}
        FROM duplicates FINAL WHERE {duplicates}
        ORDER BY source_partition, source_offset LIMIT {MOST_COPIES}
        """,
        parameters,
    )
    return [Copy(row.pop("id"), row.pop("source_partition"), row.pop("source_offset"), **row) for row in found]


TOTALS = ("records", "ticks", "absent", "accepted", "duplicates", "late", "skipped", "suspect", "invalid")


def outcome_totals(settings: Settings, asked: Asked = rows) -> dict[str, int]:
    """Sums over all of `batches` by its columns: records, ticks, absent, and every outcome (`duplicates` in the plural)."""
    sums = ", ".join(f"sum({name}) AS total_{name}" for name in TOTALS)
    (row,) = asked(settings, f"SELECT {sums} FROM batches FINAL")
    return {name: int(row[f"total_{name}"]) for name in TOTALS}
