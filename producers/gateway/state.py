"""What the gateway's processes know together: charges of the rate limit, and Idempotency-Keys.

Every call is one short transaction (some 30 µs) that waits for those of other threads and processes: call it from a thread,
not from an event loop. Clocks are the caller's, epoch ms. All raise RefusedError where the file is damaged, UnavailableError
where it can't be written.
"""

import zlib
from pathlib import Path

from producers.gateway import charges, idempotency
from producers.gateway.database import PATIENCE_SECONDS, Database
from producers.gateway.idempotency import Beginning, Stored
from producers.gateway.limit import Limit, Verdict

PURGE_ROWS, PURGE_BYTES = 1_000, 1 << 20
"""Deleted in one transaction, so that nobody waits for a purge."""
LEVEL = 1
"""Of compression: answers are the same few words again and again, a third or less of their size with the least effort."""


class State:
    """The state in a file, which is made where it isn't there; its folder, too."""

    def __init__(self, path: Path, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._database = Database(path, patience_seconds)

    def charge(self, key_id: str, events: int, limit: Limit, now_ms: int) -> Verdict:
        """Charge so many events to a key if its limit allows them all."""
        with self._database.writing() as connection:
            return charges.charge(connection, key_id, events, limit, now_ms)

    def begin(self, key_id: str, idempotency_key: str, digest: bytes, owner: str, now_ms: int, lease_ms: int) -> Beginning:
        """Take a call for `lease_ms`, or say who has it. `digest`: of its body; `owner`: a token that nobody else uses."""
        with self._database.writing() as connection:
            found = idempotency.begin(connection, (key_id, idempotency_key), digest, owner, now_ms, lease_ms)
        return self._unpacked(found) if isinstance(found, Stored) else found

    def finish(self, key_id: str, idempotency_key: str, owner: str, status: int, body: bytes, now_ms: int) -> bool:
        """Store the answer. False: the lease was lost to another, whose answer counts."""
        packed = zlib.compress(body, LEVEL)  # before the transaction: nobody waits for it
        with self._database.writing() as connection:
            return idempotency.finish(connection, (key_id, idempotency_key), owner, status, packed, now_ms)

    def renew(self, key_id: str, idempotency_key: str, owner: str, now_ms: int, lease_ms: int) -> bool:
        """Hold the call for `lease_ms` from now. False: the lease was lost to another."""
        with self._database.writing() as connection:
            return idempotency.renew(connection, (key_id, idempotency_key), owner, now_ms, lease_ms)

    def release(self, key_id: str, idempotency_key: str, owner: str) -> bool:
        """What was begun failed, nothing was done: the same call may be begun again at once. False: it is another's."""
        with self._database.writing() as connection:
            return idempotency.release(connection, (key_id, idempotency_key), owner)

    def purge(self, now_ms: int, keep_ms: int) -> int:
        """Forget calls that ended `keep_ms` ago or earlier, and charges of yesterday; how many calls it were."""
        calls = 0
        deleted = 1
        while deleted:
            with self._database.writing() as connection:
                deleted = idempotency.purge(connection, now_ms - keep_ms, PURGE_ROWS, PURGE_BYTES)
            calls += deleted
        self._purge_charges(now_ms - charges.LONGEST_MS)
        return calls

    def _purge_charges(self, until_ms: int) -> None:
        key_id: str | None = ""
        while key_id is not None:
            deleted = 0
            with self._database.writing() as connection:
                if key_id:
                    deleted = charges.trim(connection, key_id, until_ms, PURGE_ROWS)
                if deleted < PURGE_ROWS:
                    key_id = charges.next_key(connection, key_id)

    def _unpacked(self, stored: Stored) -> Stored:
        try:
            return Stored(stored.status, zlib.decompress(stored.body))
        except zlib.error as error:
            raise self._database.damaged(error) from None

    def close(self) -> None:
        """Close the file; what is called afterwards is refused."""
        self._database.close()
