"""Rows as they are stored: the answers of /v1/duplicates, /v1/plays/{event_id} and /v1/batches."""

import binascii
import re
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode

from pipeline.api import parameters
from pipeline.api.models import Batch as BatchRow
from pipeline.api.models import BatchesPage, Copy, Duplicate, DuplicatesPage, Story, instant, instant_or_none
from pipeline.api.timelines import UnknownError
from pipeline.errors import ListeningError
from pipeline.settings import Settings
from pipeline.store.ask import Asked
from pipeline.store.paging import batches_page, duplicates_page
from pipeline.store.queries import story
from pipeline.store.ranked import names_of

_EQUAL = ("service", "platform", "country", "artist_id", "user_id")


def duplicates(settings: Settings, asked: Asked, wanted: parameters.Duplicates) -> DuplicatesPage:
    """Raises ListeningError for a cursor that is none of ours, UnavailableError without an engine."""
    equal = {name: value for name in _EQUAL if (value := getattr(wanted, name)) is not None}
    after = _read(wanted.cursor, 2)
    # One more than is shown: whether there is a next page.
    rows = duplicates_page(
        settings, equal, wanted.from_, wanted.to, wanted.limit + 1, (after[0], after[1]) if after else None, asked
    )
    found = [
        Duplicate(
            event_id=row["id"],
            partition=row["source_partition"],
            offset=row["source_offset"],
            played_at=instant(row["played_at_ms"]),
            sent_at=instant(row["sent_at_ms"]),
            appended_at=instant(row["appended_at_ms"]),
            **{name: row[name] for name in (*_EQUAL, "track_id", "first_offset")},
        )
        for row in rows[: wanted.limit]
    ]
    more = len(rows) > wanted.limit
    return DuplicatesPage(rows=found, next=_cursor(found[-1].partition, found[-1].offset) if more else None)


def batches(settings: Settings, asked: Asked, wanted: parameters.Batches) -> BatchesPage:
    """Raises as `duplicates`."""
    before = _read(wanted.cursor, 3)
    rows = batches_page(
        settings, wanted.partition, wanted.limit + 1, (before[0], before[1], before[2]) if before else None, asked
    )
    shown = rows[: wanted.limit]
    more, last = len(rows) > wanted.limit, shown[-1] if shown else {}
    return BatchesPage(
        next=_cursor(last["watermark_ms"], last["source_partition"], last["first_offset"]) if more else None,
        rows=[BatchRow(watermark=instant_or_none(row.pop("watermark_ms")), **row) for row in map(dict, shown)],
    )


def play(settings: Settings, asked: Asked, event_id: uuid.UUID) -> Story:
    """Raises UnknownError where no copy is stored."""
    copies = story(settings, event_id, asked)
    if not copies:
        raise UnknownError(
            f"no copy of event {event_id} is stored in run {settings.run}: there is none, or it was skipped or invalid; "
            "skipped ones are only counted (GET /v1/batches)"
        )
    names = names_of(settings, asked, [copy.artist_id for copy in copies])
    same = ("event_id", "partition", "offset", "outcome", "first_offset", "service", "platform", "user_id", "artist_id")
    found = [
        Copy(
            artist=names.get(copy.artist_id),
            played_at=instant(copy.played_at_ms),
            sent_at=instant(copy.sent_at_ms),
            appended_at=instant(copy.appended_at_ms),
            **{name: getattr(copy, name) for name in same},
        )
        for copy in copies
    ]
    return Story(event_id=str(event_id), copies=found)


def _cursor(*numbers: int) -> str:
    """Where a page ended, opaque: callers hand it back and do no arithmetic with it."""
    return urlsafe_b64encode(".".join(map(str, numbers)).encode()).decode().rstrip("=")


def _read(cursor: str | None, count: int) -> list[int] | None:
    """The numbers of a cursor. Raises ListeningError where it is none of ours."""
    if cursor is None:
        return None
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        if not re.fullmatch(r"\d{1,20}" + r"\.\d{1,20}" * (count - 1), text):
            raise ValueError
        numbers = [int(number) for number in text.split(".")]
        if max(numbers) >= 1 << 63 or numbers[count - 2] >= 1 << 16 or _cursor(*numbers) != cursor:
            raise ValueError
    except (binascii.Error, ValueError):
        raise ListeningError("query.cursor: is none of ours: use `next` of the page before, or leave it out") from None
    return numbers
