"""The bounds of a connection, over a real server: how many at once, what is answered in which order, who doesn't read."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
import uvicorn
from fastapi import FastAPI, Response

from deploy.embedded.ports import free_ports
from pipeline.settings import load
from pipeline.store.serve import Server
from producers.gateway import connection
from producers.gateway.connection import BoundedProtocol, protocol_for

SECONDS = 60.0
LARGE = 32 << 20
"""More than all buffers between a server and a client hold."""


@dataclass
class Served:
    port: int
    protocol: type[BoundedProtocol]
    loop: asyncio.AbstractEventLoop | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    refused: list[tuple[int, str]] = field(default_factory=list)
    waiting: threading.Event = field(default_factory=threading.Event)
    full: threading.Event = field(default_factory=threading.Event)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)

    def known(self) -> socket.socket:
        """A connection that was answered already: nothing is expected of it before it sends."""
        client = self.connect()
        client.sendall(get("/fast"))
        assert until(client, b'"fast"').startswith(b"HTTP/1.1 200 ")
        return client

    def hurry(self) -> None:
        """From here on the server waits half a second for headers, and for who doesn't read."""
        self.protocol.client_seconds = 0.5

    def open_gate(self) -> None:
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self.gate.set)


@pytest.fixture
def served() -> Iterator[Served]:
    """Answers /fast at once, /slow when the gate is open, /large with more than a client takes that doesn't read."""
    refused: list[tuple[int, str]] = []
    # Patient until a test says otherwise: how soon this thread sends after it connected is not what is tested.
    protocol = protocol_for(load(gateway_client_seconds=300), lambda _remote, status, why: refused.append((status, why)))

    class Watched(protocol):  # type: ignore[misc, valid-type]
        def pause_writing(self) -> None:
            super().pause_writing()
            known.full.set()

    app, known = FastAPI(), Served(free_ports(1)[0], Watched, refused=refused)
    app.get("/fast")(lambda: "fast")
    app.get("/large")(lambda: Response(b"x" * LARGE))

    @app.get("/slow")
    async def slow() -> str:
        known.loop = asyncio.get_running_loop()
        known.waiting.set()
        await known.gate.wait()
        return "slow"

    config = uvicorn.Config(
        app, host="127.0.0.1", port=known.port, log_config=None, http=Watched, ws="none", timeout_keep_alive=300
    )
    server = Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.listening.wait(SECONDS)
    yield known
    if known.loop is not None:
        known.open_gate()  # a test that failed leaves nobody waiting for it
    server.should_exit = True
    thread.join(SECONDS)


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def until(client: socket.socket, last: bytes, times: int = 1) -> bytes:
    """What comes until this has come so often."""
    got = b""
    while got.count(last) < times:
        part = client.recv(1 << 16)
        assert part, got
        got += part
    return got


def all_of(client: socket.socket) -> bytes:
    """What comes until the server closes; nothing where it resets."""
    parts = []
    while True:
        try:
            part = client.recv(1 << 20)
        except ConnectionError:
            part = b""
        if not part:
            return b"".join(parts)
        parts.append(part)


def test_one_connection_too_many_is_told_to_come_back(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECTIONS", 2)
    with served.known(), served.known(), served.connect() as third:
        answer = all_of(third)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in answer
    assert [status for status, _ in served.refused] == [503]


def test_calls_of_one_connection_are_answered_in_their_order_though_one_takes_longer_than_headers_may(
    served: Served,
) -> None:
    with served.known() as client:
        served.hurry()
        client.sendall(get("/slow") + get("/fast"))
        assert served.waiting.wait(SECONDS)
        with served.connect() as other:
            assert all_of(other).startswith(b"HTTP/1.1 408 "), "half a second is over"
        served.open_gate()
        answers = until(client, b'"fast"')
    assert answers.index(b"slow") < answers.index(b"fast")
    assert answers.count(b"HTTP/1.1 200 ") == 2


def test_eight_calls_may_wait_behind_the_one_that_is_answered_and_who_sends_more_is_cut_off(served: Served) -> None:
    with served.known() as patient, served.known() as greedy:
        patient.sendall(get("/slow") + get("/fast") * 8)
        assert served.waiting.wait(SECONDS)
        greedy.sendall(get("/slow") + get("/fast") * 9)
        assert all_of(greedy) == b""
        served.open_gate()
        until(patient, b'"fast"', times=8)
    assert [status for status, _ in served.refused] == [400]


def test_what_comes_before_a_head_in_the_same_read_is_not_counted_as_part_of_it(served: Served) -> None:
    body = b"x" * (2 * connection.HEAD_BYTES)
    call = b"PUT /fast HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    with served.connect() as client:
        client.sendall(call + body + get("/fast")[:-2])
        assert until(client, b'Not Allowed"}').startswith(b"HTTP/1.1 405 ")
        client.sendall(b"\r\n")
        assert until(client, b'"fast"').startswith(b"HTTP/1.1 200 ")
    assert served.refused == []


@pytest.mark.parametrize("head", [b"GET /", b"GET / HTTP/1.1\r\nX: "], ids=["path", "header"])
def test_an_endless_head_behind_another_call_is_cut_off_all_the_same(served: Served, head: bytes) -> None:
    endless = b"x" * (2 * connection.HEAD_BYTES)
    with served.connect() as client:
        with suppress(ConnectionError):
            client.sendall(get("/fast") + head + endless)
            client.sendall(endless)
        all_of(client)
    assert [status for status, _ in served.refused] == [431]


def test_what_can_t_be_read_behind_a_call_under_way_gets_no_answer_in_the_midst_of_the_other_s(served: Served) -> None:
    with served.connect() as client:
        client.sendall(get("/slow"))
        assert served.waiting.wait(SECONDS)
        client.sendall(b"\0\0\0\r\n\r\n")
        assert all_of(client) == b""
    served.open_gate()
    assert [status for status, _ in served.refused] == [400]


def test_a_client_that_does_not_read_its_answer_is_cut_off(served: Served) -> None:
    with served.known() as client:
        served.hurry()
        client.sendall(get("/large"))
        assert served.full.wait(SECONDS), "else its half second may not have begun"
        with served.connect() as other:
            assert all_of(other).startswith(b"HTTP/1.1 408 "), "half a second is over, and the loop goes on"
        with served.connect() as other:
            all_of(other)
        assert len(all_of(client)) < LARGE
