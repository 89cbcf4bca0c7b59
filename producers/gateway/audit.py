"""The audit log: one JSON line for each refusal, in files of bounded size, never with a secret in it.

audit.jsonl is written, audit.1.jsonl is the one before it, and so on; processes share them. Refusing must not depend on the
disk: what can't be written is lost, which is said once, and again only after it had worked meanwhile.
"""

import errno
import fcntl
import json
import os
import re
import threading
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import structlog

log = structlog.get_logger()

FILE = "audit.jsonl"
MAX_BYTES = 16 << 20
KEPT = 4
"""Full files beside the one that is written."""
LONGEST = 500
"""Characters of each text: a caller must not fill the log."""
_SECRET = re.compile(r"(lk_[0-9a-f]{0,8})[0-9A-Za-z_-]*|[0-9A-Za-z_-]{40,}", re.IGNORECASE)
"""What begins as a secret does, whole or cut, with the id that may be shown; and what could be the rest of one."""


class Audit:
    """The log in a folder, which is made where it isn't there. Usable from threads."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        self._folder, self._max_bytes, self._kept = folder, max_bytes, kept
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._failing = False

    def refused(self, at_ms: int, remote: str, key_id: str | None, method: str, path: str, status: int, reason: str) -> None:
        """Write one line; raises nothing. `path`: what comes after `?` is left out."""
        entry = {
            "at": datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "remote": _harmless(remote),
            "key": None if key_id is None else _harmless(key_id),
            "method": _harmless(method),
            "path": _harmless(_plain(path.partition("?")[0][: 4 * LONGEST])),
            "status": status,
            "reason": _harmless(reason),
        }
        line = json.dumps(entry).encode() + b"\n"
        with self._lock:
            try:
                self._append(line)
                self._failing = False
            except OSError as error:
                if not self._failing:
                    log.warning("refusals are not written to the audit log", folder=str(self._folder), why=error.strerror)
                self._failing = True

    def close(self) -> None:
        with self._lock:
            self._close()

    def _append(self, line: bytes) -> None:
        """One write, so lines of several processes don't mix. After half of one, on a full disk, the next begins anew."""
        if self._full(len(line)):
            self._rotate(len(line))
        descriptor = self._opened()
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        whole = b"\n" + line if torn else line
        if os.write(descriptor, whole) < len(whole):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _opened(self) -> int:
        """The file that has the name now: another process may have moved on to the next one."""
        path = self._folder / FILE
        if self._descriptor is not None:
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._descriptor), path.stat()):
                    return self._descriptor
            self._close()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._descriptor

    def _full(self, more: int) -> bool:
        size = os.fstat(self._opened()).st_size
        return size > 0 and size + more > self._max_bytes

    def _rotate(self, more: int) -> None:
        """Each file takes the next number, the last one goes; by one process, which looks again once it has the lock."""
        lock = os.open(self._folder / ".audit.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._full(more):
                return
            names = [FILE, *(f"audit.{number}.jsonl" for number in range(1, self._kept + 1))]
            for name, after in reversed(list(pairwise(names))):
                with suppress(FileNotFoundError):
                    os.replace(self._folder / name, self._folder / after)
        finally:
            os.close(lock)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _plain(path: str) -> str:
    """Without its percent signs, however often they were put in."""
    while (plain := unquote(path)) != path:
        path = plain
    return path


def _harmless(text: str) -> str:
    return _SECRET.sub(lambda found: f"{found[1] or ''}…", text)[:LONGEST]
