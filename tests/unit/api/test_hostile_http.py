"""Hostile requests, byte for byte: each is refused with a 4xx in a sentence, and nothing has changed afterwards."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from pipeline.settings import Settings
from pipeline.store.client import Pool
from tests.unit.api.log import made_log, stored
from tests.unit.store.conftest import serving

SECONDS = 20
SQL = ["1%20OR%201%3D1", "%27%3B%20DROP%20TABLE%20plays%20--", "1)%20UNION%20ALL%20SELECT%20*%20FROM%20system.users%23"]
EVERY = [
    ("top-artists", ("k", "window", "at", "country", "platform", "published")),
    ("timeline", ("from", "to", "step")),
    ("artists/1/timeline", ("from", "to", "step")),
    ("duplicates", ("service", "platform", "country", "artist_id", "user_id", "from", "to", "limit", "cursor")),
    ("batches", ("partition", "limit", "cursor")),
]
QUERIES = [f"{path}?{name}={sql}" for path, names in EVERY for name in names for sql in SQL]
NUMBERS = ["NaN", "Infinity", "-1", "0", "1e3", "1.5", "0x10", "+5", "1_0", "%201", "", "9" * 400,
           "9223372036854775808", "%D9%A1%D9%A2", "%EF%BC%95", "null", "true", "%00", "1%00", "1%0d%0aX-Evil:%201", "[1]",
           "{}", "-0.0", "%F0%9F%8E%B5"]  # fmt: skip
QUERIES += [
    f"{target}={number}" for target in ("top-artists?k", "batches?limit", "artists/1/timeline?step") for number in NUMBERS
]
QUERIES += [
    "top-artists?at=0000-00-00", "top-artists?at=9999-12-31T23:59:59Z", "top-artists?at=1700000000", "top-artists?at=now",
    "top-artists?at=2026-11-26T08:37:30Z%00", "top-artists?at=2026-02-30", "top-artists?at=2026-W48-4",
    "top-artists?country=D%00", "top-artists?country=DEU", "top-artists?country=%C3%9C%C3%9C", "top-artists?country=../..",
    "top-artists?k=5&k=5", "top-artists?k=5&K=5", "top-artists?k[]=5", "top-artists?__proto__=1", "top-artists?param_k=1",
    "top-artists?published=maybe", "top-artists?published=true&platform=web", "timeline?from=2027-01-02&to=2027-01-01",
    "timeline?from=1970-01-01&to=2099-01-01&step=1", "duplicates?cursor=" + "A" * 101, "duplicates?cursor=MC4w%0a",
    "duplicates?cursor=" + "OTk5OTk5OTk5OTk5OTk5OTk5OTkuMQ", "batches?cursor=MS4x", "batches?partition=65536",
    "duplicates?service=" + "x" * 65, "duplicates?service=a%0d%0ab",
    "duplicates?service=%22%5C", "duplicates?x=" + "y" * 9000,
    "plays/..%2f..%2fetc%2fpasswd", "plays/%00", "plays/" + "0" * 33, "plays/1%20OR%201=1", "plays/" + "a" * 20_000,
    "artists/-1/timeline", "artists/1e9/timeline", "artists/%2e%2e/timeline", "artists/99999999999999999999/timeline",
    "artists/4711/timeline", "artists/1%27/timeline",
]  # fmt: skip
PATHS = ["/../../etc/passwd", "/v1/../../etc/passwd", "/v1/%2e%2e/%2e%2e/etc/passwd", "/v1//top-artists", "/V1/top-artists",
         "/v1/top-artists/x", "/v1/batches%00", "/%00", "/v1/top-artists%3Fk=1", "/v1", "/.git/config",
         "/store/metadata"]  # fmt: skip
METHODS = ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "OPTIONS"]
BODIES = [b"{", b"{}", b"[]" * 50_000, b'{"sql":"DROP TABLE plays"}', b"null", b'{"a":' * 20_000 + b"}" * 20_000,
          b"\xff\xfe", b'"\\ud800"', b"NaN", b"1e999999", b"\0" * 1000, b"{}\r\n\r\nGET / HTTP/1.1"]  # fmt: skip
HEADERS = [
    "Accept: text/html", "Accept: application/xml;q=1, image/*", "Accept: ", "Accept: " + ",".join(["x/y"] * 2000),
    "Accept: \x01", "X-Large: " + "x" * 40_000, "Origin: http://evil.example", "Origin: null", "Origin: file://",
    "Host: evil.example", "Content-Length: -5", "Content-Length: 5, 6", "Transfer-Encoding: chunked, x", "Cookie : a=b",
    "X-Null: a\0b", "\x00: x", ": nothing", "Content-Length: 99999999999999999999999",
]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Pool]]:
    with stored(tmp_path_factory.mktemp("store"), made_log()) as (settings, pool), serving(pool, settings):
        yield settings, pool


def sent(settings: Settings, request: bytes) -> tuple[int, bytes]:
    """Status and body of what is answered to these bytes; the connection is closed behind it."""
    with socket.create_connection((settings.store_host, settings.store_port), SECONDS) as connection:
        connection.settimeout(SECONDS)
        answer = b""
        with suppress(ConnectionError):  # who is refused early need not be heard to the end
            connection.sendall(request)
        with suppress(ConnectionError):
            while part := connection.recv(1 << 16):
                answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


def asked(settings: Settings, method: str, target: str, header: str = "", body: bytes = b"") -> tuple[int, bytes]:
    lines = [f"{method} {target} HTTP/1.1", "Connection: close"]
    lines += [] if header.startswith("Host:") else [f"Host: 127.0.0.1:{settings.store_port}"]
    lines += [header] if header else []
    lines += [f"Content-Length: {len(body)}"] if body else []
    return sent(settings, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)


def contents(pool: Pool, settings: Settings) -> list[tuple[str, int]]:
    """Rows of each table, those that lie twice counted once: a merge in the background changes nothing of that."""
    names = [name for (name,) in pool.base.query(f"SHOW TABLES FROM {settings.database}").result_rows]
    count = f"SELECT count() FROM {settings.database}.%s SETTINGS final = 1"
    return [(name, pool.base.query(count % name).result_rows[0][0]) for name in names]


@pytest.fixture(autouse=True)
def _nothing_changes(store: tuple[Settings, Pool]) -> Iterator[None]:
    settings, pool = store
    before = contents(pool, settings)
    yield
    assert contents(pool, settings) == before
    assert httpx.get(f"{settings.store_url}/v1/top-artists", trust_env=False, timeout=SECONDS).status_code == 200


def refused(status: int, body: bytes, what: object) -> None:
    assert 400 <= status < 500, (status, what)
    assert b"Traceback" not in body, what
    assert b"DB::Exception" not in body, what


def test_hostile_parameters_are_refused_each_with_its_name_or_place(store: tuple[Settings, Pool]) -> None:
    for query in QUERIES:
        status, body = asked(store[0], "GET", f"/v1/{query}")
        refused(status, body, query[:200])
        problem = json.loads(body)
        assert problem["status"] == status, query[:200]
        names = [part.partition("=")[0] for part in query.partition("?")[2].split("&")]
        assert status != 400 or any(name in problem["detail"] for name in names), (query[:200], problem["detail"])


def test_hostile_paths_and_methods_are_refused(store: tuple[Settings, Pool]) -> None:
    for path in PATHS:
        refused(*asked(store[0], "GET", path), path)
    for method in METHODS:
        for path in ("/v1/top-artists", "/v1/plays/x", "/v1/batches", "/v1/nothing", "/schema"):
            refused(*asked(store[0], method, path), (method, path))


def test_hostile_bodies_are_refused_wherever_they_go(store: tuple[Settings, Pool]) -> None:
    for body in BODIES:
        for method, path in (
            ("GET", "/v1/top-artists"),
            ("POST", "/v1/top-artists"),
            ("POST", "/sql"),
            ("PUT", "/v1/batches"),
        ):
            refused(*asked(store[0], method, path, "Content-Type: application/json", body), (method, path, body[:50]))


def test_hostile_headers_are_refused(store: tuple[Settings, Pool]) -> None:
    for header in HEADERS:
        refused(*asked(store[0], "GET", "/v1/top-artists?k=3", header), header[:100])


@pytest.mark.parametrize(
    "request_", [b"GARBAGE\r\n\r\n", b"GET /v1/top-artists HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\r\n\r\n"]
)
def test_what_is_no_http_is_refused(store: tuple[Settings, Pool], request_: bytes) -> None:
    refused(*sent(store[0], request_ + b"\r\n\r\n"), request_)
