"""Entries of the dead-letter queue: original bytes, key and headers, plus Kafka Connect's error headers (KIP-298)."""

from pipeline.codec.headers import HeaderList
from pipeline.codec.records import Refused
from pipeline.topics import MAX_MESSAGE_BYTES

PREFIX = "__connect.errors."
APPENDED_AT = "listening.appended.at"
"""Header of an entry: the broker's time of the source record, epoch ms."""
LEFT_OUT = "listening.value.bytes"
"""Header of an entry whose value is too large for any record of ours: its size. The source still holds the value."""


def dead_letter_headers(original: HeaderList, topic: str, partition: int, refused: Refused) -> HeaderList:
    """The original headers, then where the record came from and why it was refused."""
    entries = {
        "topic": topic,
        "partition": str(partition),
        "offset": str(refused.offset),
        "stage": "VALUE_CONVERTER",
        "class.name": "pipeline.codec.decode",
        "exception.class.name": refused.reason,
        "exception.message": refused.message,
    }
    own = [(APPENDED_AT, b"%d" % refused.appended_at)]
    return [*original, *own, *((PREFIX + name, text.encode()) for name, text in entries.items())]


def fitting(value: bytes | None, headers: HeaderList) -> bytes | None:
    """The value if the queue can take it, else None with a header that says how large it was.

    A source record is small only compressed: a megabyte of zeros' batch may hold a value of a gigabyte.
    """
    if value is None or len(value) <= MAX_MESSAGE_BYTES // 2:
        return value
    headers.append((LEFT_OUT, b"%d" % len(value)))
    return None
