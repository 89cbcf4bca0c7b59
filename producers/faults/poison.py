"""Records that are no events: made of a real one, some by its columns, most by its bytes."""

import struct
from collections.abc import Sequence

import numpy as np

import schemas
from pipeline.codec.events import FRAME
from pipeline.codec.murmur import partition_of_key
from producers.columns import Array, Columns, height
from producers.ids import uuid7
from producers.kinds import Kind, Poison

NO_POISON = -1
UNKNOWN_ID = 2**31 - 1
"""A schema id that no registry has given yet."""
FAR_FUTURE_MS = 4_070_908_800_000
"""2099-01-01: plausible, and ahead of any broker."""


def poison(plays: Columns, kinds: Sequence[str], rng: np.random.Generator) -> Columns:
    """Events beside these plays, under ids of their own, each to be one of these kinds of poison."""
    count = height(plays)
    chosen = np.array([Poison[kind.upper()] for kind in kinds], np.int8)[rng.integers(0, len(kinds), count)]
    return plays | {
        "event_id": uuid7(plays["played_at"], rng),
        "kind": np.full(count, Kind.POISON, np.int8),
        "again": np.zeros(count, np.int64),
        "poison": chosen,
        "ms_played": np.where(chosen == Poison.IMPLAUSIBLE, -1 - plays["ms_played"], plays["ms_played"]),
        "played_at": np.where(chosen == Poison.AHEAD, FAR_FUTURE_MS, plays["played_at"]),
    }


def corrupt(poisons: Array, keys: list[bytes], values: list[bytes | None], partitions: int) -> list[int]:
    """Change the keys and values of rows with poison (of Poison, NO_POISON: none) to what is sent in their place.

    Returns the partition that each row is sent to; -1: its key's. Lists of plain values, since a tuple a record would keep
    Python's garbage collector busier than all the rest.
    """
    wanted = [-1] * len(keys)
    for row in np.flatnonzero(poisons != NO_POISON).tolist():
        event = values[row] or b""
        keys[row], values[row], wanted[row] = _corrupted(Poison(int(poisons[row])), keys[row], event, partitions)
    return wanted


def _corrupted(kind: Poison, key: bytes, value: bytes, partitions: int) -> tuple[bytes, bytes | None, int]:
    """Key, value, and the partition it is sent to; -1: its key's."""
    match kind:
        case Poison.WRONG_MAGIC:
            return key, b"\7" + value[1:], -1
        case Poison.UNKNOWN_SCHEMA:
            return key, FRAME.pack(0, UNKNOWN_ID) + value[FRAME.size :], -1
        case Poison.UNDECODABLE:
            return key, value[: len(value) // 2], -1
        case Poison.TRAILING_BYTES:
            return key, value + value[: len(value) // 3], -1
        case Poison.TOO_LARGE:
            return key, value + bytes(schemas.limits().max_event_bytes), -1
        case Poison.NULL_VALUE:
            return key, None, -1
        case Poison.WRONG_KEY:
            return struct.pack(">q", struct.unpack(">q", key)[0] + 1), value, -1
        case Poison.MISROUTED:
            return key, value, (partition_of_key(key, partitions) + 1) % partitions
        case _:  # its columns are wrong
            return key, value, -1
