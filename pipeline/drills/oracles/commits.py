"""Every offset that was ever committed, out of the broker's own `__consumer_offsets`.

The binary form is Kafka's: group-coordinator/src/main/resources/common/message/OffsetCommitKey.json, …Value.json. Compaction
keeps the last commit of a key, and of the segment that is written to (16 MiB on the embedded broker) all of them.
"""

import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from pipeline.drills.oracles.reading import Raw, records
from pipeline.settings import Settings

TOPIC = "__consumer_offsets"
KEY_VERSIONS = (0, 1)
"""Of a commit; others are of the group's members."""
NEWEST_VALUE = 4


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit; `offset` None: it was forgotten, since the group was deleted. `at`: the broker's clock, epoch ms."""

    group: str
    topic: str
    partition: int
    offset: int | None
    metadata: str = ""
    at: int = 0

    @property
    def place(self) -> tuple[str, str, int]:
        return (self.group, self.topic, self.partition)


def commits(settings: Settings, groups: Collection[str]) -> Iterator[Commit]:
    """The groups' commits; those of a group in the order in which they were made. Raises as `records`, and ValueError."""
    for raw in records(settings, TOPIC):
        commit = commit_of(raw)
        if commit is not None and commit.group in groups:
            yield commit


def commit_of(raw: Raw) -> Commit | None:
    """The commit that a record of the topic is; None: it is another kind. Raises ValueError for a form that is unknown."""
    if raw.key is None or len(raw.key) < 2 or struct.unpack_from(">h", raw.key)[0] not in KEY_VERSIONS:
        return None
    group, at = _text(raw.key, 2)
    topic, at = _text(raw.key, at)
    (partition,) = struct.unpack_from(">i", raw.key, at)
    if raw.value is None:
        return Commit(group, topic, partition, None)
    version, offset = struct.unpack_from(">hq", raw.value)
    if not 0 <= version <= NEWEST_VALUE:
        raise ValueError(f"{TOPIC} holds a commit of version {version} at offset {raw.offset}")
    at = 10 + (4 if version >= 3 else 0)  # the leader epoch
    metadata, at = _compact_text(raw.value, at) if version >= 4 else _text(raw.value, at)
    metadata = metadata.rstrip("\0")  # confluent-kafka sends the end of its string, too
    return Commit(group, topic, partition, offset, metadata, struct.unpack_from(">q", raw.value, at)[0])


def _text(packed: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">h", packed, at)
    return packed[at + 2 : at + 2 + length].decode(), at + 2 + length


def _compact_text(packed: bytes, at: int) -> tuple[str, int]:
    length = shift = 0
    while True:
        byte = packed[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return packed[at : at + length - 1].decode(), at + length - 1
