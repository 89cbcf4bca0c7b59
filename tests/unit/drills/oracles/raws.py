"""Records as the oracles read them, made by hand."""

import io
import struct
from typing import Any

import pyarrow as pa
import pyarrow.ipc

from pipeline.drills.oracles.reading import Raw

_ROW: Any = pa.schema([("offset", pa.int64()), ("outcome", pa.string())])
NAMES = ("accepted", "duplicate", "late", "skipped", "suspect", "invalid", "ticks", "absent")


def plays(
    at: int, first: int, outcomes: str, /, *, partition: int = 0, offset: int | None = None, step: int = 1, **headers: int
) -> Raw:
    """A record of `plays`, an initial an offset: a, d, l, i as outcomes, t for a tick, - for none.

    `step`: from one row's offset to the next. `headers`: what the record says in spite of its rows.
    """
    names = {"a": "accepted", "d": "duplicate", "l": "late", "i": "invalid", "t": "ticks", "-": "absent"}
    found = [names[initial] for initial in outcomes]
    stream = io.BytesIO()
    rows = [{"offset": first + n * step, "outcome": name} for n, name in enumerate(found) if name not in ("ticks", "absent")]
    with pa.ipc.new_stream(stream, _ROW) as writer:
        writer.write_table(pa.Table.from_pylist(rows, _ROW))
    numbers = {"at": at, "first": first, "last": first + len(outcomes) - 1, "watermark": 7}
    numbers |= {name: found.count(name) for name in NAMES} | headers
    packed: dict[str, bytes | None] = {name: b"%d" % number for name, number in numbers.items()}
    return Raw(partition, at if offset is None else offset, None, stream.getvalue() if rows else b"", packed)


def committed(
    group: str, topic: str, partition: int, offset: int | None, metadata: str = "", at: int = 0, version: int = 3
) -> Raw:
    """A record of `__consumer_offsets`, written out by the definition of Kafka's messages."""

    def text(value: str) -> bytes:
        return struct.pack(">h", len(value.encode())) + value.encode()

    key = struct.pack(">h", 1) + text(group) + text(topic) + struct.pack(">i", partition)
    if offset is None:
        return Raw(0, 0, key, None, {})
    compact = struct.pack(">B", len(metadata.encode()) + 1) + metadata.encode()
    value = struct.pack(">hq", version, offset) + (struct.pack(">i", 5) if version >= 3 else b"")
    value += (compact if version >= 4 else text(metadata)) + struct.pack(">q", at)
    value += struct.pack(">q", -1) if version == 1 else b"\0" if version >= 4 else b""
    return Raw(0, 0, key, value, {})
