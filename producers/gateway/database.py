"""The gateway's SQLite file: opened, made, shared by processes and threads, and its failures told in sentences.

One connection with a lock a process: threads hand it on at once, where connections of their own would poll for the file.
Between processes SQLite polls. Who waits longer than PATIENCE_SECONDS for both together is told so.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import ListeningError, RefusedError, UnavailableError

PATIENCE_SECONDS = 15.0
VERSION = 2
APPLICATION = 0x4C47_5753
"""SQLite's application_id: LGWS."""
SCHEMA = """
CREATE TABLE charges (
    key_id TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    before INTEGER NOT NULL,
    upto INTEGER NOT NULL,
    PRIMARY KEY (key_id, at_ms)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX charges_by_total ON charges (key_id, upto);
CREATE TABLE calls (
    key_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    digest BLOB NOT NULL,
    owner TEXT,
    begun_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL,
    status INTEGER,
    body BLOB,
    PRIMARY KEY (key_id, idempotency_key)
) STRICT;
CREATE INDEX calls_by_end ON calls (end_ms);
"""
WHOSE = """
SELECT (SELECT count(*) FROM sqlite_schema), application_id, user_version FROM pragma_application_id, pragma_user_version
"""
"""In one statement, so of one instant."""
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DISK = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
}


class Database:
    """An open file. Raises RefusedError where it is damaged or another program's, UnavailableError where the disk won't."""

    def __init__(self, path: Path, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._path, self._patience = path, patience_seconds
        self._lock = threading.Lock()
        with self._told():
            _make_private(path)
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=patience_seconds)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that nobody else writes in: committed at the end, undone where it isn't reached."""
        deadline = time.monotonic() + self._patience
        with self._held(), self._told():
            self._begin(deadline)
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has undone it already
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _held(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=self._patience):
            raise _busy(self._path, self._patience)
        try:
            yield
        finally:
            self._lock.release()

    def _begin(self, deadline: float) -> None:
        """SQLite waits for what the lock has left of the patience."""
        left = max(0.0, deadline - time.monotonic())
        self._connection.execute(f"PRAGMA busy_timeout = {int(left * 1000)}")
        self._patiently(lambda: self._connection.execute("BEGIN IMMEDIATE"), deadline)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def damaged(self, error: Exception) -> RefusedError:
        """The sentence for a file that doesn't hold what was written."""
        return RefusedError(f"{self._path} is damaged ({error}): {_REMEDY}")

    def _prepare(self) -> None:
        """Looks twice whose it is: before anything is changed in it, and when nobody else can make it any more."""
        connection = self._connection
        self._is_made()
        (mode,) = self._patiently(lambda: connection.execute("PRAGMA journal_mode = WAL")).fetchone()
        if mode != "wal":
            raise RefusedError(
                f"{self._path} is on a file system that can't share it: set LISTENING_DATA_DIR to a local one"
            )
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA journal_size_limit = 16777216")
        self._patiently(lambda: connection.execute("BEGIN IMMEDIATE"))
        if not self._is_made():
            for statement in SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")

    def _is_made(self) -> bool:
        tables, *whose = self._patiently(lambda: self._connection.execute(WHOSE)).fetchone()
        if whose == [APPLICATION, VERSION]:
            return True
        if tables or any(whose):
            raise RefusedError(f"{self._path} was written by another program or version: {_REMEDY}")
        return False

    def _patiently(self, attempt: Callable[[], sqlite3.Cursor], deadline: float | None = None) -> sqlite3.Cursor:
        """SQLite waits by itself, but not everywhere: a file that is opened or recovered elsewhere is just busy."""
        if deadline is None:
            deadline = time.monotonic() + self._patience
        while True:
            try:
                return attempt()
            except sqlite3.OperationalError as error:
                if _code(error) not in _BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(0.005)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _sentence(self._path, error, self._patience) from None
        except OSError as error:
            raise UnavailableError(f"{self._path} can't be written: {error.strerror}") from None


_REMEDY = "stop the gateway, delete the file (rate limits and Idempotency-Keys begin anew) and start again"


def _make_private(path: Path) -> None:
    """Readable by its owner alone; SQLite gives the files beside it the same mode.

    A file that is there is not opened: closing it would end the locks that this process may hold on it (POSIX).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        os.chmod(path, 0o600)


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _busy(path: Path, patience: float) -> UnavailableError:
    return UnavailableError(f"{path} is held by another process for over {patience:g} s: look whether one stands still")


def _sentence(path: Path, error: sqlite3.Error, patience: float) -> ListeningError:
    if (code := _code(error)) in _BUSY:
        return _busy(path, patience)
    if code in _DISK:
        return UnavailableError(f"{path} can't be written ({error}): look at the disk and its permissions")
    return RefusedError(f"{path} is damaged ({error}): {_REMEDY}")
