"""Entries of the dead-letter queue, each once: a crash may have written one twice, its place in the source identifies it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipeline.codec.headers import HeaderList
from pipeline.log.dead_letters import APPENDED_AT, HEADERS_LEFT_OUT, KEY_LEFT_OUT, LEFT_OUT, PREFIX
from pipeline.log.read import Log, Record
from pipeline.settings import Settings
from pipeline.topics import topics_of


@dataclass(frozen=True, slots=True)
class Letter:
    """A refused record: where it lay in the source, when it was appended there (epoch ms), why it was refused, its bytes.

    `left_out`: size of a value that was too large to be kept here. `copies`: how often the queue holds it.
    """

    partition: int
    offset: int
    appended_at: int
    reason: str
    message: str
    key: bytes | None
    value: bytes | None
    headers: HeaderList
    left_out: int = 0
    copies: int = 1


def read_letters(log: Log, settings: Settings) -> list[Letter]:
    """All entries of the run, by source partition and offset. Raises UnavailableError."""
    topics = topics_of(settings)
    found: dict[tuple[int, int], tuple[int, Letter]] = {}
    for partition in range(topics.dlq.partitions):
        for letter in _letters(log, topics.dlq.name, partition, topics.events.name):
            place = (letter.partition, letter.offset)
            found[place] = (found[place][0] + 1, letter) if place in found else (1, letter)
    return [replace(letter, copies=copies) for _place, (copies, letter) in sorted(found.items(), key=lambda entry: entry[0])]


def _letters(log: Log, topic: str, partition: int, source: str) -> Iterator[Letter]:
    for record in log.read(topic, partition, *log.bounds(topic, partition)):
        letter = letter_of(record, source)
        if letter is not None:
            yield letter


def letter_of(record: Record, source: str) -> Letter | None:
    """The entry, or None for a record that is none of this source's."""
    marks: dict[str, str] = {}
    own: HeaderList = []
    for name, value in record.headers:
        packed = value.encode() if isinstance(value, str) else value
        text = (packed or b"").decode("utf-8", "replace")
        # The record itself may have had a header of one of these names: ours come last, and a size is a number.
        is_size = name in (LEFT_OUT, KEY_LEFT_OUT, HEADERS_LEFT_OUT) and re.fullmatch(r"[0-9]{1,18}", text)
        if name.startswith(PREFIX) or name == APPENDED_AT or is_size:
            marks[name.removeprefix(PREFIX)] = text
        else:
            own.append((name, packed))  # type: ignore[arg-type]  # a header's value may be null, as it came
    try:
        if marks["topic"] != source:
            return None
        return Letter(
            partition=int(marks["partition"]),
            offset=int(marks["offset"]),
            appended_at=int(marks.get(APPENDED_AT, record.timestamp)),
            reason=marks["exception.class.name"],
            message=marks["exception.message"],
            key=record.key,
            value=None if record.is_null else record.value,
            headers=own,
            left_out=int(marks.get(LEFT_OUT, 0)) if record.is_null else 0,
        )
    except (KeyError, ValueError):
        return None
