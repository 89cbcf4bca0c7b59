"""API keys: a file of names, scopes and digests; a secret is shown once, when its key is made, and kept nowhere.

A secret is `lk_<id>_<43 characters>`, 256 random bits, so a plain SHA-256 of it is as good as any slow hash. Servers read
the file again when it has changed: a key that is removed opens nothing from the next request on.
"""

import hashlib
import secrets
from collections.abc import Collection
from hmac import compare_digest
from pathlib import Path

from pipeline.errors import RefusedError
from pipeline.http.keyfile import DIGEST_BYTES, NAME, SCOPES, Entries, Key, Scope, Stamp, locked, read, stamp, write

__all__ = ["SCOPES", "Key", "KeyRing", "Scope", "create", "listed", "remove"]

_NOBODY = bytes(DIGEST_BYTES)
"""What the secrets of unknown ids are compared with: as long as a digest, and of no secret."""


def create(
    path: Path, name: str, scopes: Collection[Scope], limit_events: int | None = None, *, now_ms: int
) -> tuple[Key, str]:
    """A new key and its secret. Raises RefusedError for a name that is there or is none, UnavailableError where the
    file can't be written."""
    if not NAME.fullmatch(name):
        raise RefusedError(f"{name!r} is no name of a key: 1 to 64 letters, digits, '.', '_' and '-', not with a sign first")
    if not scopes or not SCOPES.issuperset(scopes):
        raise RefusedError(f"key {name} would have the scopes {', '.join(scopes) or 'none'}: give it read, publish or both")
    if limit_events is not None and limit_events < 1:
        raise RefusedError(f"key {name} would have a limit of {limit_events} events: leave it out, or give it 1 or more")
    with locked(path):
        entries = read(path)[1]
        if any(known.name == name for known, _ in entries.values()):
            raise RefusedError(f"a key {name} is there already: choose another name or `listening keys remove {name}` first")
        key_id = next(new for new in iter(lambda: secrets.token_hex(4), None) if new not in entries)
        key = Key(key_id, name, frozenset(scopes), now_ms, limit_events)
        secret = f"lk_{key_id}_{secrets.token_urlsafe(32)}"
        write(path, entries | {key_id: (key, _digest(secret))})
    return key, secret


def remove(path: Path, name: str) -> Key:
    """The key that was removed. Raises RefusedError where there is none of that name."""
    with locked(path):
        entries = read(path)[1]
        found = next((key for key, _ in entries.values() if key.name == name), None)
        if found is None:
            raise RefusedError(f"{path} has no key {name}: `listening keys list` shows those there are")
        write(path, {key_id: entry for key_id, entry in entries.items() if key_id != found.id})
    return found


def listed(path: Path) -> list[Key]:
    """All keys, in the order in which they were made."""
    return [key for key, _ in read(path)[1].values()]


class KeyRing:
    """The keys of a file, as they are now; none without one. Raises RefusedError where it is damaged or not private."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[Stamp | None, Entries] = read(path)

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
        if stamp(self._path) != known[0]:
            self._known = known = read(self._path)
        return known[1]


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()
