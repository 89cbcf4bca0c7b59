"""Copies of plays, by kind. Each function takes plays that have been sent and returns the copies, one a row.

Rows have `true_sent_at`, when the record really leaves (epoch ms), beside what the client's clock says: played_at, sent_at.
"""

import numpy as np

from producers.columns import Array, Columns, height, take
from producers.ids import uuid7
from producers.kinds import Kind
from producers.listeners.people import SERVICES
from producers.scenarios.demand import MINUTE_MS
from producers.scenarios.parts import CrossService, DoubleSends, UpstreamReplay

REPORTERS = np.array([SERVICES.index("scrobbler"), SERVICES.index("listening-partner")])
REPORTED_SESSIONS = 1 << 60
"""Another service has sessions of its own."""


def double_sends(plays: Columns, part: DoubleSends, horizon_ms: int, end: int, rng: np.random.Generator) -> Columns:
    """Sent again seconds to minutes later, some tens of minutes, and in time for the dedup horizon."""
    count = height(plays)
    least, most = part.seconds
    soon = 1000 * least * (most / least) ** rng.random(count)
    low, high = part.reconnect_minutes
    later = rng.uniform(low * MINUTE_MS, high * MINUTE_MS, count)
    delay = np.where(rng.random(count) < part.reconnecting, later, soon)
    latest = np.minimum(end - 1, plays["played_at"] + horizon_ms)
    left = np.maximum(latest - plays["true_sent_at"], 1)
    delay = np.where(delay < left, delay, rng.random(count) * left).astype(np.int64)
    delay = np.maximum(delay, 1)
    moved = {name: plays[name] + delay for name in ("true_sent_at", "sent_at")}
    return _as(plays, Kind.CLIENT_DOUBLE_SEND) | moved


def upstream_replay(plays: Columns, part: UpstreamReplay, start: int, end: int) -> Columns:
    """The same bytes, from the replay's minute on, in the order and with the rhythm in which they were sent first."""
    begin, over = start + round(part.at_minute * MINUTE_MS), part.over_minutes * MINUTE_MS
    stretch = start + part.from_minute * MINUTE_MS, start + part.to_minute * MINUTE_MS
    place = np.clip((plays["true_sent_at"] - stretch[0]) / (stretch[1] - stretch[0]), 0, 1)
    # What reached the service after that is sent again right behind.
    again = np.maximum(begin + (place * over).astype(np.int64), plays["true_sent_at"] + 1)
    return _as(plays, Kind.UPSTREAM_REPLAY) | {"true_sent_at": np.minimum(again, end - 1)}


def cross_service(plays: Columns, part: CrossService, start: int, end: int, rng: np.random.Generator) -> Columns:
    """Another service's reports: other ids, the same listens, played_at seconds apart, and sent as late plus `delay_s`."""
    count = height(plays)
    # Either may be the earlier, but nothing is played at the end or later.
    sign = np.where((rng.random(count) < 0.5) & (plays["played_at"] + part.apart_s[1] * 1000 < end - 1), 1, -1)
    apart = sign * apart_ms(part, count, rng)
    delay = (1000 * rng.uniform(*part.delay_s, count)).astype(np.int64)
    sent_at = np.clip(plays["true_sent_at"] + apart + delay, start, end - 1)
    return _as(plays, Kind.CROSS_SERVICE) | {
        "event_id": uuid7(plays["played_at"] + apart, rng),
        "original_id": plays["event_id"],
        "session_id": plays["session_id"] + REPORTED_SESSIONS,
        "service": REPORTERS[rng.integers(0, len(REPORTERS), count)],
        "played_at": plays["played_at"] + apart,
        "true_sent_at": sent_at,
        "sent_at": plays["sent_at"] + sent_at - plays["true_sent_at"],
    }


def apart_ms(part: CrossService, count: int, rng: np.random.Generator) -> Array:
    """int64[count]: from the shortest to the longest distance, half of them below the median. The distribution function
    is a power of the place between the two."""
    shortest, longest = part.apart_s
    exponent = np.log((part.median_s - shortest) / (longest - shortest)) / np.log(0.5)
    apart: Array = (1000 * (shortest + (longest - shortest) * rng.random(count) ** exponent)).astype(np.int64)
    return apart


def with_retries(records: Columns) -> Columns:
    """Each record followed by as many retries as `again` says, which is left out."""
    again = records.pop("again")
    rows = np.repeat(np.arange(len(again)), 1 + again)
    records = take(records, rows)
    records["kind"][1:][rows[1:] == rows[:-1]] = Kind.PRODUCER_RETRY
    return records


def _as(plays: Columns, kind: Kind) -> Columns:
    count = height(plays)
    return plays | {"kind": np.full(count, kind, np.int8), "again": np.zeros(count, np.int64)}
