"""Entries of the dead-letter queue: original bytes, key and headers, plus Kafka Connect's error headers (KIP-298)."""

from pipeline.codec.headers import HeaderList
from pipeline.codec.records import Refused
from pipeline.topics import MAX_MESSAGE_BYTES

PREFIX = "__connect.errors."
APPENDED_AT = "listening.appended.at"
"""Header of an entry: the broker's time of the source record, epoch ms."""
LEFT_OUT = "listening.value.bytes"
"""Header of an entry whose value is too large for any record of ours: its size. The source still holds the value."""
KEY_LEFT_OUT, HEADERS_LEFT_OUT = "listening.key.bytes", "listening.headers.bytes"
"""The same of its key, and of its headers together."""
_HEADER_OVERHEAD = 20
"""More bytes than a header's two lengths take."""


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


def fitting(key: bytes | None, value: bytes | None, headers: HeaderList) -> tuple[bytes | None, bytes | None, HeaderList]:
    """The record's parts as the queue can take them: of each that is too large only its size, in a header.

    A source record is small only compressed: a megabyte of zeros' batch may hold a value, a key or a header of a gigabyte.
    """
    marks: HeaderList = []
    size = sum(len(name.encode()) + len(content or b"") + _HEADER_OVERHEAD for name, content in headers)
    if size > MAX_MESSAGE_BYTES // 8:
        headers, marks = [], [(HEADERS_LEFT_OUT, b"%d" % size)]
    if key is not None and len(key) > MAX_MESSAGE_BYTES // 8:
        marks.append((KEY_LEFT_OUT, b"%d" % len(key)))
        key = None
    if value is not None and len(value) > MAX_MESSAGE_BYTES // 2:
        marks.append((LEFT_OUT, b"%d" % len(value)))
        value = None
    return key, value, [*headers, *marks]
