"""Columns to the wire, without a Python object per event: what fastavro would write, byte for byte.

Each field is laid into columns of bytes as wide as its widest value, and a mask tells which of them are used; the used
bytes, row by row, are the encoded events.
"""

from functools import cache
from typing import Any

import numpy as np

import schemas
from pipeline.codec.events import FRAME
from producers.columns import Array, Columns, height
from producers.listeners.people import COUNTRIES, SERVICES

VOCABULARIES = {"service": SERVICES, "country": COUNTRIES}


def encode_columns(
    columns: Columns, vocabularies: dict[str, tuple[str, ...]] = VOCABULARIES, schema_id: int | None = None
) -> tuple[bytes, list[int]]:
    """All events of n >= 1 rows in one buffer, and the n + 1 positions between which they lie.

    `columns` has every field of the schema: event_id uint8[n, 16], numbers and enums (as index) int64, booleans bool,
    strings as an index into their vocabulary. `schema_id`: of version 1, where it is another than in schemas/.
    """
    frame = _frame(height(columns), schema_id or schemas.schema_id(schemas.EVENTS_SUBJECT, 1))
    values, used = _joined([frame, *_fields(columns, vocabularies)])
    bounds = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
    return values[used].tobytes(), bounds.tolist()


def encode_bodies(columns: Columns, vocabularies: dict[str, tuple[str, ...]] = VOCABULARIES) -> bytes:
    """All events of n >= 1 rows without frames, one behind the other: what an Avro block holds."""
    values, used = _joined(_fields(columns, vocabularies))
    return values[used].tobytes()


def encode_keys(user_ids: Array) -> list[bytes]:
    """The record key of each row: user_id, 8 bytes big-endian."""
    keys = user_ids.astype(">i8").tobytes()
    return [keys[at : at + 8] for at in range(0, len(keys), 8)]


def _fields(columns: Columns, vocabularies: dict[str, tuple[str, ...]]) -> list[tuple[Array, Array]]:
    fields = schemas.schema(schemas.EVENTS_SUBJECT, 1)["fields"]
    return [_cells(field["type"], columns[field["name"]], vocabularies.get(field["name"], ())) for field in fields]


def _joined(cells: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Bytes and mask of whole rows."""
    return tuple(np.concatenate(parts, axis=1) for parts in zip(*cells, strict=True))  # type: ignore[return-value]


def _cells(avro_type: Any, values: Array, vocabulary: tuple[str, ...]) -> tuple[Array, Array]:
    """Bytes and mask of one field, uint8[n, width] and bool[n, width]."""
    name = avro_type["type"] if isinstance(avro_type, dict) else avro_type
    if name == "fixed":
        return values, np.ones(values.shape, np.bool_)
    if name == "boolean":
        return values.astype(np.uint8)[:, None], np.ones((len(values), 1), np.bool_)
    if name == "string":
        table, used = _table(vocabulary)
        return table[values], used[values]
    return varints(values)


def varints(values: Array) -> tuple[Array, Array]:
    """Avro's zigzag varints of int64[n]: uint8[n, width] and the mask of the bytes in use."""
    wide = values.astype(np.int64)
    rest = (wide << 1 ^ wide >> 63).view(np.uint64)
    width = max(1, -(-int(rest.max()).bit_length() // 7))
    groups = rest[:, None] >> np.arange(0, 7 * width, 7, dtype=np.uint64)
    used = groups > 0
    used[:, 0] = True
    # A byte is followed by another where the next group is in use.
    more = np.zeros(used.shape, np.uint8)
    more[:, :-1] = used[:, 1:]
    return (groups & 0x7F).astype(np.uint8) | more << 7, used


def _frame(count: int, schema_id: int) -> tuple[Array, Array]:
    frame = np.frombuffer(FRAME.pack(0, schema_id), np.uint8)
    return np.broadcast_to(frame, (count, FRAME.size)), np.ones((count, FRAME.size), np.bool_)


@cache
def _table(vocabulary: tuple[str, ...]) -> tuple[Array, Array]:
    """Every string of a vocabulary as Avro writes it: bytes and mask, one row each."""
    encoded = [word.encode() for word in vocabulary]
    lengths, sized = varints(np.array([len(word) for word in encoded]))
    widest = max(map(len, encoded))
    words = np.array([list(word.ljust(widest, b"\0")) for word in encoded], np.uint8).reshape(len(encoded), widest)
    used = np.arange(widest) < np.array([len(word) for word in encoded])[:, None]
    return np.concatenate([lengths, words], axis=1), np.concatenate([sized, used], axis=1)
