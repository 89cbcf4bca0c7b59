"""Where the sink starts: the committed offset, if the store holds what it claims; else the log's beginning."""

from dataclasses import dataclass
from typing import Any

from pipeline.errors import RefusedError

HELD = {
    # The commit's metadata is the next source offset, and `batches` is written last. Of all others it is the offset again.
    "plays": "SELECT countIf(last_offset + 1 >= {next:UInt64}) > 0 FROM batches WHERE source_partition = {partition:UInt16}",
    "artist-counts": "SELECT count() > 0 FROM count_positions WHERE shard = {partition:UInt16}",
    "top-artists": "SELECT count() > 0 FROM top_artists WHERE shard = {partition:UInt16}",
    "artists": "SELECT count() > 0 FROM artists",
}
"""By kind of topic: whether the store holds what was committed. No: its data was deleted since, sink it all again."""


@dataclass(frozen=True, slots=True)
class Committed:
    """A committed offset, -1 where there is none, and its metadata."""

    offset: int
    metadata: str


@dataclass(frozen=True, slots=True)
class Start:
    """Where to start reading and what to resume the reader from; `rewind`: not where the commit says."""

    offset: int
    metadata: str
    rewind: bool


def held(client: Any, kind: str, partition: int, committed: Committed) -> bool:
    """Whether the store holds the records below the committed offset. Not where the commit isn't one of ours: tools that
    reset offsets leave the metadata empty, and what they skip would never be stored."""
    if not committed.metadata.isdecimal():
        return False
    told = int(committed.metadata)
    if kind != "plays" and told != committed.offset:
        return False
    if kind == "plays" and not told:
        return True  # nothing but records of others were passed over
    return bool(client.query(HELD[kind], parameters={"partition": partition, "next": told}).result_rows[0][0])


def start_of(topic: str, partition: int, low: int, high: int, committed: Committed, *, is_held: bool) -> Start:
    """Where to start in a log of offsets low to high (exclusive).

    Raises RefusedError where records that were not stored are gone, or the log is another than the committed one.
    """
    where = f"{topic} partition {partition}"
    if committed.offset > high:
        raise RefusedError(
            f"{where} ends at offset {high}, below the committed {committed.offset}: the topic was recreated or cut; "
            "start a new run by LISTENING_RUN"
        )
    wanted = committed.offset if committed.offset >= 0 and is_held else 0
    if wanted < low:
        raise RefusedError(
            f"{where} begins at offset {low}, but the store has it only to {wanted}: "
            f"offsets {wanted} to {low - 1} are lost; start a new run by LISTENING_RUN"
        )
    if committed.offset >= 0 and is_held:
        return Start(committed.offset, committed.metadata, rewind=False)
    return Start(0, "", rewind=committed.offset > 0)
