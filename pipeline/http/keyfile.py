"""The file of API keys: JSON, its owner's alone, replaced at once or not at all, by one process at a time."""

import fcntl
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pipeline.errors import RefusedError, UnavailableError

Scope = Literal["read", "publish"]
SCOPES: frozenset[Scope] = frozenset(get_args(Scope))
VERSION = 1
DIGEST_BYTES = 32
"""SHA-256."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ID = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Key:
    """Who may do what. Holds nothing secret."""

    id: str
    """8 hex digits, the part of a secret that may be shown."""
    name: str
    scopes: frozenset[Scope]
    created_at_ms: int
    limit_events: int | None
    """Events that it may publish in a window of the gateway's; None: the setting."""


Entries = dict[str, tuple[Key, bytes]]
"""By id; with the digest of its secret."""
Stamp = tuple[int, ...]


def stamp(path: Path) -> Stamp | None:
    """Another one: another file, or another mode. None: there is none."""
    try:
        return _stamp_of(path.stat())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnavailableError(f"{path} can't be read: {error.strerror}") from None


def _stamp_of(at: os.stat_result) -> Stamp:
    # The mode by itself: times may stand still for 10 ms, on many file systems.
    return at.st_ino, at.st_size, at.st_mode, at.st_mtime_ns, at.st_ctime_ns


def read(path: Path) -> tuple[Stamp | None, Entries]:
    """What is in it, and the stamp of the very bytes that were read; None where there is no file.

    Raises RefusedError where it is damaged or not private, UnavailableError where it can't be read.
    """
    try:
        with path.open("rb") as file:
            at, text = os.fstat(file.fileno()), file.read()
    except FileNotFoundError:
        return None, {}
    except OSError as error:
        raise UnavailableError(f"{path} can't be read: {error.strerror}") from None
    if stat.S_IMODE(at.st_mode) & 0o077:
        raise RefusedError(f"{path} may be read or written by others than its owner: `chmod 600 {path}`")
    try:
        return _stamp_of(at), _parsed(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # Without what was wrong with it: the sentence of a JSON error may hold a part of the file.
        raise RefusedError(
            f"{path} is damaged or of another version: restore it from a copy, or delete it and make new keys"
        ) from None


def _parsed(document: Any) -> Entries:
    if document["version"] != VERSION:
        raise ValueError("another version")
    entries: Entries = {}
    for one in document["keys"]:
        digest = bytes.fromhex(one["sha256"])
        key = Key(one["id"], one["name"], frozenset(one["scopes"]), one["created_at_ms"], one["limit_events"])
        whole = all(type(number) is int for number in (key.created_at_ms, key.limit_events or 0))
        named = _ID.fullmatch(key.id) and NAME.fullmatch(key.name) and key.id not in entries
        if not (whole and named and key.scopes and key.scopes <= SCOPES and len(digest) == DIGEST_BYTES):
            raise ValueError("no key")
        entries[key.id] = key, digest
    return entries


def write(path: Path, entries: Entries) -> None:
    """At once or not at all, durably. Raises UnavailableError."""
    keys = [asdict(key) | {"scopes": sorted(key.scopes), "sha256": digest.hex()} for key, digest in entries.values()]
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump({"version": VERSION, "keys": keys}, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise UnavailableError(f"{path} can't be written: {error.strerror}") from None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process changes the file at a time: another would write back what this one removed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(f".{path.name}.lock"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UnavailableError(f"{path.parent} can't be written: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
