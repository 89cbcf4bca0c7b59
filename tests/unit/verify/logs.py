"""Small logs, drawn in seconds after BASE, as the broker would hold them."""

from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_writer

import schemas
from pipeline.outcomes import Outcome
from pipeline.rules import Rules
from pipeline.verify.recompute import TICK, Recomputed, Record, recompute

BASE = 1_767_225_600_000
"""2026-01-01, a multiple of every slot and pane used here."""
RULES = Rules(
    partitions=1,
    horizon_ms=60_000,
    grace_ms=10_000,
    slot_ms=10_000,
    pane_ms=10_000,
    max_ahead_ms=5_000,
    min_play_ms=30_000,
    plausibility="test",
)
FRAME = b"\0" + (1).to_bytes(4, "big")
_SCHEMA = parse_schema(schemas.schema(schemas.EVENTS_SUBJECT, 1))


def fields(name: str, seconds: float, **changes: Any) -> dict[str, Any]:
    """An event whose id is the name, played at BASE + seconds."""
    played_at = BASE + int(seconds * 1000)
    return {
        "event_id": name.encode().ljust(16, b"."),
        "user_id": 7,
        "artist_id": 1,
        "track_id": 3,
        "album_id": 4,
        "played_at": played_at,
        "ms_played": 200_000,
        "track_ms": 240_000,
        "session_id": 5,
        "sequence": 0,
        "platform": "ios",
        "service": "listener",
        "country": "de",
        "offline": False,
        "reason_end": "finished",
        "sent_at": played_at,
    } | changes


def body(event: dict[str, Any]) -> bytes:
    """The Avro body alone."""
    stream = BytesIO()
    schemaless_writer(stream, _SCHEMA, event)
    return stream.getvalue()


def play(name: str, seconds: float, *, at: float | None = None, partition: int = 0, **changes: Any) -> Record:
    """A record of one event: played at `seconds`, appended at `at` (at once unless said). Its offset is set by `log`."""
    event = fields(name, seconds, **changes)
    appended_at = BASE + int((seconds if at is None else at) * 1000)
    return Record(partition, -1, appended_at, event["user_id"].to_bytes(8, "big"), FRAME + body(event))


def tick(seconds: float, *, at: float | None = None, partition: int = 0) -> Record:
    stamp = BASE + int(seconds * 1000)
    appended_at = BASE + int((seconds if at is None else at) * 1000)
    return Record(partition, -1, appended_at, None, None, [("listening-tick", b"%d" % stamp)])


def log(*records: Record, rules: Rules = RULES, window_ms: int = 20_000, top_k: int = 2, shards: int = 1) -> Recomputed:
    """Number the records' offsets by partition, in the order given, and recompute."""
    ends = [0] * rules.partitions
    numbered = []
    for record in records:
        numbered.append(record._replace(offset=ends[record.partition]))
        ends[record.partition] += 1
    return recompute(numbered, ends=ends, rules=rules, window_ms=window_ms, top_k=top_k, shards=shards)


def outcomes(result: Recomputed, partition: int = 0) -> list[str]:
    names = [outcome.label for outcome in Outcome] + ["tick", "absent"]
    assert names[TICK] == "tick"
    return [names[kind] for kind in result.folds[partition].kinds]


def watermarks(result: Recomputed, partition: int = 0) -> list[float]:
    """Seconds after BASE; 0 stays the time before any event."""
    return [mark if mark == 0 else (mark - BASE) / 1000 for mark in result.folds[partition].watermarks]
