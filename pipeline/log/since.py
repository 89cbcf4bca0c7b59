"""Read `plays` from an instant on, and prove that nothing of it is gone: a log may have been cut by anybody.

low ── record dated before the instant ── offset_at(instant) ── … ── high
       └ it is there, and source offsets follow each other without a gap: so all dated later are there, too
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from pipeline.codec.headers import PlaysHeaders
from pipeline.errors import RefusedError
from pipeline.log.read import Log, Record, look_back

REPLAY = "start a new run (LISTENING_RUN) and replay the source into it"
"""The remedy where derived records are lost: the source still holds what they were made of."""
Valid = tuple[Record, PlaysHeaders]


def valid_since(log: Log, topic: str, partition: int, low: int, high: int, instant: int, needed: str) -> Iterator[Valid]:
    """Every valid record of [low, high), the whole log, of watermark `instant` (epoch ms) or later, and perhaps some before.

    `needed`: what the reader takes from them, for the sentence. Raises RefusedError where the log does not prove that they
    are all there (it begins neither with source offset 0 nor with a record older than `instant`), or has a gap.
    """
    start = max(low, log.offset_at(topic, partition, instant))
    before = last_valid(log, topic, partition, low, start)
    expected = before[1].last + 1 if before else None
    for record in log.read(topic, partition, start, high):
        headers = PlaysHeaders.valid_at(record.offset, record.headers)
        if headers is None:
            continue
        if expected is None and headers.first > 0 and headers.watermark >= instant:
            raise _lost(topic, partition, low, headers, instant, needed)
        check_contiguous(topic, partition, record.offset, headers, expected)
        expected = headers.last + 1
        yield record, headers


def last_before(log: Log, topic: str, partition: int, low: int, high: int, instant: int) -> int | None:
    """Offset of the last valid record whose watermark is before `instant`: what `valid_since` proves itself by. None: there
    is none."""
    start = max(low, log.offset_at(topic, partition, instant))
    found: int | None = None
    for record in log.read(topic, partition, start, high):  # no more than one, but behind a record dated by others
        headers = PlaysHeaders.valid_at(record.offset, record.headers)
        if headers and headers.watermark >= instant:
            break
        if headers:
            found = record.offset
    if found is not None:
        return found
    before = last_valid(log, topic, partition, low, start)
    return before[0].offset if before else None


def last_valid(log: Log, topic: str, partition: int, low: int, high: int) -> Valid | None:
    """The last valid record of [low, high), or None."""

    def pick(records: Iterator[Record]) -> Valid | None:
        found = None
        for record in records:
            headers = PlaysHeaders.valid_at(record.offset, record.headers)
            found = (record, headers) if headers else found
        return found

    return look_back(log, topic, partition, low, high, pick)


def check_contiguous(topic: str, partition: int, offset: int, headers: PlaysHeaders, expected: int | None) -> None:
    """Raises RefusedError where a valid record does not follow the one before; `expected` None: it is the first read."""
    if expected is not None and headers.first != expected:
        raise RefusedError(
            f"{topic} partition {partition} offset {offset} begins at source offset {headers.first}, "
            f"{expected} was to follow: the log was damaged, and nothing behind this can be trusted"
        )


def utc(instant: int) -> str:
    """Epoch ms as people read it."""
    return datetime.fromtimestamp(instant / 1000, UTC).isoformat(timespec="milliseconds")


def _lost(topic: str, partition: int, low: int, headers: PlaysHeaders, instant: int, needed: str) -> RefusedError:
    return RefusedError(
        f"{topic} partition {partition} was cut: it begins at offset {low}, with source offset {headers.first} "
        f"({utc(headers.watermark)}), and the outcomes of source offsets up to {headers.first - 1} since {utc(instant)} "
        f"are gone, which hold {needed}; {REPLAY}"
    )
