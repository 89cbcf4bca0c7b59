"""Who asks: the API key of a request, and middleware that wants one of every request but those for its health.

The secret comes as `Authorization: Bearer SECRET`, or by Basic with the secret as password, so that a browser can ask.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Collection
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from pipeline.errors import ListeningError, RefusedError
from pipeline.http.guard import LOOPBACK
from pipeline.http.keys import Key, KeyRing, Scope
from pipeline.http.problem import problem

REALM = "listening"
BEARER = f'Bearer realm="{REALM}"'
BASIC = f'Basic realm="{REALM}", charset="UTF-8"'
CREDENTIALS = re.compile(r"(bearer|basic) +([\x21-\x7e]{1,512})", re.IGNORECASE)


class WrongKeyError(Exception):
    """A request whose key is missing, unknown, or not for this."""

    def __init__(self, status: int, title: str, detail: str, challenge: str = "") -> None:
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail
        self.headers = {"WWW-Authenticate": challenge} if challenge else {}


class Authorize:
    """Middleware: every request carries a key with the scope, but those for `open_paths`."""

    def __init__(self, app: ASGIApp, keys: KeyRing, scope: Scope, open_paths: Collection[str]) -> None:
        self._app, self._keys, self._scope, self._open = app, keys, scope, frozenset(open_paths)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._open:
            await self._app(scope, receive, send)
            return
        try:
            requires(key_of_call(self._keys, Headers(scope=scope)), self._scope)
        except WrongKeyError as error:
            await problem(error.status, error.title, error.detail, error.headers)(scope, receive, send)
        except ListeningError as error:
            await problem(503, "Keys", str(error), {"Retry-After": "1"})(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def key_of_call(keys: KeyRing, headers: Headers, *, basic: bool = True) -> Key:
    """The key that a request carries. `basic`: it may come as a password. Raises WrongKeyError, and as the keys do."""
    challenge = f"{BASIC}, {BEARER}" if basic else BEARER
    given = headers.getlist("authorization")
    if not given:
        raise WrongKeyError(401, "No key", "send an API key as `Authorization: Bearer SECRET`", challenge)
    secret = _secret(given[0], basic=basic) if len(given) == 1 else None
    key = keys.find(secret) if secret else None
    if key is None:
        unknown = challenge.replace(BEARER, f'{BEARER}, error="invalid_token"')
        raise WrongKeyError(
            401, "Unknown key", "there is no such API key: `listening keys list` shows those there are", unknown
        )
    return key


def requires(key: Key, scope: Scope) -> None:
    """Raises WrongKeyError where the key is not for this."""
    if scope not in key.scopes:
        raise WrongKeyError(
            403,
            "Not with this key",
            f"key {key.name} is for {' and '.join(sorted(key.scopes))}, not for {scope}",
            f'{BEARER}, error="insufficient_scope", scope="{scope}"',
        )


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in LOOPBACK


def refuse_open(what: str, variable: str, host: str, keys_file: Path, scope: Scope) -> None:
    """Raise RefusedError where a server would listen beyond this machine with nobody holding a key."""
    if not is_loopback(host) and not KeyRing(keys_file).has(scope):
        raise RefusedError(
            f"{what} would listen at {host}, beyond this machine, and there is no key with scope {scope}: make one with "
            f"`listening keys add NAME --scope {scope}`, or unset {variable}"
        )


def _secret(given: str, *, basic: bool) -> str | None:
    match = CREDENTIALS.fullmatch(given)
    if match is None:
        return None
    if match[1].lower() == "bearer":
        return match[2]
    if not basic:
        return None
    try:
        return base64.b64decode(match[2], validate=True).decode("ascii").partition(":")[2] or None
    except (binascii.Error, UnicodeDecodeError):
        return None
