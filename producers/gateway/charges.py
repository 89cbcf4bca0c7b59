"""Charges of the rate limit: one row for each millisecond of a key in which something was charged.

A row says how many events had been charged before and up to it, so a window's sum and the wait until there is room are one
look-up in an index each, at any number of rows. What left the window is deleted by the charges that follow, some at a time.
"""

import sqlite3

from producers.gateway.limit import Limit, Verdict, charged_at, weigh

TRIM_ROWS = 64
"""Deleted by one charge at the most: it adds one, and shouldn't pay for an hour of silence."""
LONGEST_MS = 86_400_000
"""Charges older than that are in nobody's window."""


def charge(connection: sqlite3.Connection, key_id: str, events: int, limit: Limit, now_ms: int) -> Verdict:
    """Charge if the limit allows. Within a writing transaction."""
    running = _Recorded(connection, key_id)
    verdict = weigh(running, now_ms, events, limit)
    if verdict.allowed and events:
        at_ms = charged_at(running.newest_ms, now_ms)
        connection.execute(
            "INSERT INTO charges VALUES (?, ?, ?, ?) ON CONFLICT (key_id, at_ms) DO UPDATE SET upto = excluded.upto",
            (key_id, at_ms, running.total, running.total + events),
        )
        # Only now: a refused call writes nothing, so the newest row, which holds the clock, is never deleted.
        trim(connection, key_id, at_ms - limit.window_ms, TRIM_ROWS)
    return verdict


def trim(connection: sqlite3.Connection, key_id: str, until_ms: int, rows: int) -> int:
    """Delete a key's oldest rows at or before an instant, so many at the most; how many it were."""
    return connection.execute(
        "DELETE FROM charges WHERE key_id = ?1 AND at_ms IN "
        "(SELECT at_ms FROM charges WHERE key_id = ?1 AND at_ms <= ?2 ORDER BY at_ms LIMIT ?3)",
        (key_id, until_ms, rows),
    ).rowcount


def next_key(connection: sqlite3.Connection, after: str) -> str | None:
    """The first key after this one that has charges."""
    (key_id,) = connection.execute("SELECT min(key_id) FROM charges WHERE key_id > ?", (after,)).fetchone()
    return None if key_id is None else str(key_id)


class _Recorded:
    """Running over a key's rows."""

    def __init__(self, connection: sqlite3.Connection, key_id: str) -> None:
        self._connection, self._key_id = connection, key_id
        newest = self._first("at_ms, upto", "ORDER BY at_ms DESC")
        self.newest_ms = newest[0] if newest else None
        self.total = newest[1] if newest else 0

    def upto(self, at_ms: int) -> int:
        row = self._first("before", "AND at_ms > ? ORDER BY at_ms", at_ms)
        return row[0] if row else self.total

    def reached(self, total: int) -> int:
        row = self._first("at_ms", "AND upto >= ? ORDER BY upto", total)
        assert row is not None, "what is refused fills the window, so some charge of it reaches the total"
        return row[0]

    def _first(self, columns: str, which: str, *values: int) -> tuple[int, ...] | None:
        sql = f"SELECT {columns} FROM charges WHERE key_id = ? {which} LIMIT 1"
        found: tuple[int, ...] | None = self._connection.execute(sql, (self._key_id, *values)).fetchone()
        return found
