"""Records of the derived topics made by hand: Arrow encodes, headers are written out, nothing of the pipeline helps."""

import io
import json
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.ipc

Headers = list[tuple[str, bytes]]
Made = tuple[Headers, bytes]
OUTCOMES = ("accepted", "duplicate", "late", "skipped", "suspect", "invalid")
T0 = 1_800_000_000_000
"""Epoch ms, a whole hour: 2027-01-15 08:00 UTC."""
SCHEMAS = Path(__file__).parents[3] / "schemas"


def container(subject: str, rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows under the subject's schema as an Arrow stream: its types from the .avsc, written by Arrow itself."""
    fields = json.loads((SCHEMAS / subject / "1.avsc").read_text())["fields"]
    schema = pa.schema([(field["name"], arrow_type(field["type"])) for field in fields])
    out = io.BytesIO()
    with pa.ipc.new_stream(out, schema) as writer:
        writer.write_table(pa.Table.from_pylist(list(rows), schema))
    return out.getvalue()


def arrow_type(avro: Any) -> Any:
    """Arrow's type for a field's Avro type, null or not."""
    if isinstance(avro, list):
        (avro,) = (kind for kind in avro if kind != "null")
    if isinstance(avro, dict):
        assert avro == {"type": "long", "logicalType": "local-timestamp-millis"}
        return pa.timestamp("ms")
    return {"int": pa.int32(), "long": pa.int64(), "string": pa.string(), "bytes": pa.binary()}[avro]


def headers(**values: int | str) -> Headers:
    return [(name, str(value).encode()) for name, value in values.items()]


def event_id(number: int) -> uuid.UUID:
    """Different bytes everywhere: a wrong byte order can't go unseen."""
    return uuid.uuid5(uuid.NAMESPACE_OID, str(number))


def play(offset: int, outcome: str = "accepted", **columns: Any) -> dict[str, Any]:
    """A row of `plays`; of an invalid one only what is known of it."""
    known = {"offset": offset, "appended_at": T0 + offset * 10, "outcome": outcome}
    if outcome == "invalid":
        return known
    row = known | {
        "event_time": T0 + offset * 10,
        "event_id": event_id(offset).bytes,
        "first_offset": offset,
        "user_id": 1000 + offset,
        "artist_id": offset % 7 + 1,
        "track_id": offset % 11 + 1,
        "played_at": T0 + offset * 10,
        "sent_at": T0 + offset * 10 + 5,
        "ms_played": 60_000,
        "platform": "web",
        "service": "own",
        "country": "DE",
    }
    return row | columns


def plays(
    at: int, rows: list[dict[str, Any]], rules: str, *, first: int | None = None, ticks: int = 0, **other: int
) -> Made:
    """A `plays` record meant for offset `at`; ticks lie behind the rows."""
    start = (rows[0]["offset"] if rows else 0) if first is None else first
    counts = Counter(row["outcome"] for row in rows)
    times = [row["event_time"] for row in rows if row.get("event_time")]
    values = {"at": at, "first": start, "last": start + len(rows) + ticks - 1}
    values |= {outcome: counts[outcome] for outcome in OUTCOMES}
    values |= {"ticks": ticks, "absent": 0, "watermark": max(times, default=0)} | other
    return headers(**values, rules=rules), container("plays-value", rows)


def counts(partition: int, rows: list[tuple[int, int, int]], *, counted: int, watermark: int, rules: str) -> Made:
    """An announcement of (pane, artist_id, plays) in one part."""
    made = [
        {"source_partition": partition, "pane": pane, "artist_id": artist, "plays": number, "version": counted}
        for pane, artist, number in rows
    ]
    value = container("artist-counts-value", made) if made else b""
    numbers = {"partition": partition, "first": 0, "since": 0, "counted": counted, "watermark": watermark}
    return headers(**numbers, part=1, parts=1, rules=rules), value


def top(window_end: int, shard: int, ranked: list[tuple[int, int]], *, final: bool, counted: int, k: int = 100) -> Made:
    """A ranked list of (artist_id, plays)."""
    rows = [{"rank": rank, "artist_id": artist, "plays": number} for rank, (artist, number) in enumerate(ranked, 1)]
    return (
        headers(
            window_end=window_end,
            window_ms=3_600_000,
            shard=shard,
            k=k,
            final=int(final),
            counted=counted,
            watermark=window_end,
        ),
        container("top-artists-value", rows),
    )


def artist(artist_id: int, name: str) -> bytes:
    """Confluent's framing; schema id 2 as in schemas/registry.yaml."""
    out = io.BytesIO(b"\0" + (2).to_bytes(4, "big"))
    out.seek(5)
    schema = fastavro.parse_schema(json.loads((SCHEMAS / "artists-value" / "1.avsc").read_text()))
    fastavro.schemaless_writer(out, schema, {"artist_id": artist_id, "name": name})
    return out.getvalue()
