"""A registry by URL, against a server that answers whatever it is told to."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.errors import ListeningError, UnavailableError
from pipeline.registry import confluent
from pipeline.registry.confluent import ConfluentRegistry

SECRET = "hunter2"


class Server(ThreadingHTTPServer):
    """`status` and `body`: its answer to everything. `asked`: how often it was asked."""

    status, body, asked = 200, b"", 0

    @property
    def url(self) -> str:
        return f"http://somebody:{SECRET}@127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked += 1
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(confluent, "ANSWER_SECONDS", 120)  # its thread may stand still: that is no answer, too
    with Server(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_an_id_that_no_registry_can_give_is_a_definite_no_without_asking(server: Server) -> None:
    server.status, server.body = 404, b'{"error_code": 404, "message": "HTTP 404 Not Found"}'
    assert ConfluentRegistry(server.url).text(2**31) is None
    assert server.asked == 0


def test_only_the_registry_s_own_codes_are_a_definite_no(server: Server) -> None:
    server.status, server.body = 404, b'{"error_code": 40403, "message": "Schema 7 not found"}'
    assert ConfluentRegistry(server.url).text(7) is None
    server.body = b'{"error_code": 404, "message": "HTTP 404 Not Found"}'
    with pytest.raises(UnavailableError):
        ConfluentRegistry(server.url).text(7)


@pytest.mark.parametrize("body", [b"<html>sign in</html>", b"", b"{}", b"[]", b"7", b'{"schema": null}', b'{"schema": 7}'])
def test_what_is_no_registry_s_answer_is_none_and_waited_for(server: Server, body: bytes) -> None:
    server.body = body
    with pytest.raises(UnavailableError, match="no schema registry"):
        ConfluentRegistry(server.url).text(7)


@pytest.mark.parametrize("status", [401, 403, 409, 500])
def test_no_sentence_holds_the_password(server: Server, status: int) -> None:
    server.status, server.body = status, b'{"error_code": 1, "message": "no"}'
    registry = ConfluentRegistry(server.url)
    with pytest.raises(ListeningError) as raised:
        registry.text(7)
    assert f"127.0.0.1:{server.server_port}" in str(raised.value)
    assert SECRET not in f"{raised.value} {registry.where}"


@pytest.mark.parametrize("url", ["http://somebody:{}@127.0.0.1:1", "http://a:{0}@127.0.0.1:1,http://b:{0}@127.0.0.1:1"])
def test_a_registry_that_isn_t_there_is_named_without_the_password(url: str) -> None:
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1") as raised:
        ConfluentRegistry(url.format(SECRET)).text(7)
    assert SECRET not in str(raised.value)


def test_a_url_that_is_none_is_refused_without_its_password() -> None:
    with pytest.raises(ListeningError, match="is no registry's URL") as raised:
        ConfluentRegistry(f"ftp://somebody:{SECRET}@registry")
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None
