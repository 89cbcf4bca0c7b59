"""API keys: a file of names, scopes and digests; a secret is shown once, when its key is made, and kept nowhere.

A secret is `lk_<id>_<43 characters>`, 256 random bits, so a plain SHA-256 of it is as good as any slow hash. Servers read
the file again when it has changed: a key that is removed opens nothing from the next request on.
"""

import fcntl
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hmac import compare_digest
from pathlib import Path
from typing import Any, Literal, get_args

from pipeline.errors import RefusedError, UnavailableError

Scope = Literal["read", "publish"]
SCOPES: frozenset[Scope] = frozenset(get_args(Scope))
VERSION = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ID = re.compile(r"[0-9a-f]{8}")
_NOBODY = bytes(hashlib.sha256().digest_size)
"""What the secrets of unknown ids are compared with: as long as a digest, and of no secret."""


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


def create(
    path: Path, name: str, scopes: Collection[Scope], limit_events: int | None = None, *, now_ms: int
) -> tuple[Key, str]:
    """A new key and its secret. Raises RefusedError for a name that is there or is none, UnavailableError where the
    file can't be written."""
    if not _NAME.fullmatch(name):
        raise RefusedError(f"{name!r} is no name of a key: 1 to 64 letters, digits, '.', '_' and '-', not with a sign first")
    if not scopes or not SCOPES.issuperset(scopes):
        raise RefusedError(f"key {name} would have the scopes {', '.join(scopes) or 'none'}: give it read, publish or both")
    if limit_events is not None and limit_events < 1:
        raise RefusedError(f"key {name} would have a limit of {limit_events} events: leave it out, or give it 1 or more")
    with _locked(path):
        entries = _read(path)[1]
        if any(known.name == name for known, _ in entries.values()):
            raise RefusedError(f"a key {name} is there already: choose another name or `listening keys remove {name}` first")
        key_id = next(new for new in iter(lambda: secrets.token_hex(4), None) if new not in entries)
        key = Key(key_id, name, frozenset(scopes), now_ms, limit_events)
        secret = f"lk_{key_id}_{secrets.token_urlsafe(32)}"
        _write(path, entries | {key_id: (key, _digest(secret))})
    return key, secret


def remove(path: Path, name: str) -> Key:
    """The key that was removed. Raises RefusedError where there is none of that name."""
    with _locked(path):
        entries = _read(path)[1]
        found = next((key for key, _ in entries.values() if key.name == name), None)
        if found is None:
            raise RefusedError(f"{path} has no key {name}: `listening keys list` shows those there are")
        _write(path, {key_id: entry for key_id, entry in entries.items() if key_id != found.id})
    return found


def listed(path: Path) -> list[Key]:
    """All keys, in the order in which they were made."""
    return [key for key, _ in _read(path)[1].values()]


class KeyRing:
    """The keys of a file, as they are now; none without one. Raises RefusedError where it is damaged or not private."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[Stamp | None, Entries] = _read(path)

    def find(self, secret: str) -> Key | None:
        """Whose secret it is. Takes as long for an unknown id or a wrong secret as for a right one."""
        entries = self._entries()
        found, digest = entries.get(secret[3:11], (None, _NOBODY))
        return found if compare_digest(digest, _digest(secret)) else None

    def has(self, scope: Scope) -> bool:
        """Whether any key has this scope."""
        return any(scope in key.scopes for key, _ in self._entries().values())

    def _entries(self) -> Entries:
        known = self._known
        if _stamp(self._path) != known[0]:
            self._known = known = _read(self._path)
        return known[1]


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def _stamp(path: Path) -> Stamp | None:
    try:
        return _stamp_of(path.stat())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnavailableError(f"{path} can't be read: {error.strerror}") from None


def _stamp_of(at: os.stat_result) -> Stamp:
    return at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns


def _read(path: Path) -> tuple[Stamp | None, Entries]:
    """The stamp is that of the very bytes that were read."""
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
    except (ValueError, KeyError, TypeError, AttributeError):
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
        named = _ID.fullmatch(key.id) and _NAME.fullmatch(key.name) and key.id not in entries
        if not (whole and named and key.scopes and key.scopes <= SCOPES and len(digest) == len(_NOBODY)):
            raise ValueError("no key")
        entries[key.id] = key, digest
    return entries


def _write(path: Path, entries: Entries) -> None:
    """At once or not at all, durably."""
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
def _locked(path: Path) -> Iterator[None]:
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
