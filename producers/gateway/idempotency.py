"""Idempotency-Keys: who works on a call, and what was answered to it.

begin ─► Begun ─► finish: the answer is stored      begin ─► InFlight, Mismatch or Stored
            ├───► renew: the lease begins again
            └───► release: the same call may be begun again at once

A call in flight is held by a lease and an owner's token. After the lease's end the next one to begin takes it over, and the
first one's finish, renew and release change nothing: so a process that was killed holds nobody up for longer than its lease,
and one that only seemed dead can't answer for another. Whatever became of a call, its Idempotency-Key belongs to the digest
of its body until it is purged.

All within a writing transaction, at the caller's clock.
"""

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Begun:
    """The call is the caller's: do it, then finish or release it."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """Another one is doing it."""

    retry_after_ms: int
    """The wait until its lease ends, at least 1."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The Idempotency-Key belongs to a call with another body."""


@dataclass(frozen=True, slots=True)
class Stored:
    """It was done: answer the same again."""

    status: int
    body: bytes


Beginning = Begun | InFlight | Mismatch | Stored


def begin(
    connection: sqlite3.Connection, call: tuple[str, str], digest: bytes, owner: str, now_ms: int, lease_ms: int
) -> Beginning:
    """`call`: id of the API key and the Idempotency-Key; `owner`: a token that nobody else has ever used."""
    row = connection.execute(
        "SELECT digest, owner, begun_ms, end_ms, status, body FROM calls WHERE key_id = ? AND idempotency_key = ?", call
    ).fetchone()
    if row is None:
        connection.execute(
            "INSERT INTO calls (key_id, idempotency_key, digest, owner, begun_ms, end_ms) VALUES (?, ?, ?, ?, ?, ?)",
            (*call, digest, owner, now_ms, now_ms + lease_ms),
        )
        return Begun()
    known, holder, begun_ms, end_ms, status, body = row
    if known != digest:
        return Mismatch()
    if status is not None:
        return Stored(status, body)
    now_ms = max(now_ms, begun_ms)  # a clock that goes back: a lease never has more than its length before it
    if holder is not None and now_ms < end_ms:
        return InFlight(end_ms - now_ms)
    connection.execute(
        "UPDATE calls SET owner = ?, begun_ms = ?, end_ms = ? WHERE key_id = ? AND idempotency_key = ?",
        (owner, now_ms, now_ms + lease_ms, *call),
    )
    return Begun()


def finish(connection: sqlite3.Connection, call: tuple[str, str], owner: str, status: int, body: bytes, now_ms: int) -> bool:
    """Store the answer, kept from now on. False: nothing is stored, the call is another's or was finished before."""
    return _owned(connection, "status = ?, body = ?, end_ms = max(?, begun_ms)", (status, body, now_ms), call, owner)


def renew(connection: sqlite3.Connection, call: tuple[str, str], owner: str, now_ms: int, lease_ms: int) -> bool:
    """Begin the lease again, never to end sooner than before. False: the call is another's or was finished before."""
    return _owned(
        connection,
        "begun_ms = max(?, begun_ms), end_ms = max(max(?, begun_ms) + ?, end_ms)",
        (now_ms, now_ms, lease_ms),
        call,
        owner,
    )


def release(connection: sqlite3.Connection, call: tuple[str, str], owner: str) -> bool:
    """Give the call up. False: it is another's or was finished before."""
    return _owned(connection, "owner = NULL", (), call, owner)


def purge(connection: sqlite3.Connection, until_ms: int, rows: int, size: int) -> int:
    """Forget calls that were finished, or whose lease ended, at or before an instant; how many.

    `rows` at the most, and so many that but the last of their answers have fewer than `size` bytes together.
    """
    return connection.execute(_PURGE, (until_ms, rows, size)).rowcount


_PURGE = """
DELETE FROM calls WHERE rowid IN (
    SELECT row FROM (
        SELECT row, sum(size) OVER (ORDER BY end_ms, row) - size AS before
        FROM (
            SELECT rowid AS row, end_ms, ifnull(length(body), 0) AS size FROM calls WHERE end_ms <= ? ORDER BY end_ms LIMIT ?
        )
    ) WHERE before < ?
)
"""
"""DELETE comes first: Python counts no rows of a statement that begins with WITH."""


def _owned(
    connection: sqlite3.Connection, change: str, values: tuple[object, ...], call: tuple[str, str], owner: str
) -> bool:
    where = "key_id = ? AND idempotency_key = ? AND owner = ? AND status IS NULL"
    return connection.execute(f"UPDATE calls SET {change} WHERE {where}", (*values, *call, owner)).rowcount == 1
