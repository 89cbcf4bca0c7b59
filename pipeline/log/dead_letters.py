"""Entries of the dead-letter queue: original bytes, key and headers, plus Kafka Connect's error headers (KIP-298)."""

from pipeline.codec.headers import HeaderList
from pipeline.codec.records import Refused

_PREFIX = "__connect.errors."


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
    return [*original, *((_PREFIX + name, text.encode()) for name, text in entries.items())]
