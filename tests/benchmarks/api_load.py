"""Clients of the query API, in a process of their own: each keeps its connection and asks again as soon as it is answered.

python -m tests.benchmarks.api_load PORT CLIENTS SECONDS TARGET…      prints JSON, latencies in microseconds
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import uvloop

GRACE_SECONDS = 10.0
HOST = "127.0.0.1"


@dataclass
class Seen:
    """Of all clients together."""

    latencies_us: list[int] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    oldest_ms: int = 0
    """The greatest age that an answer told."""
    broken: int = 0
    """Connections that ended before their time."""


class Client(asyncio.Protocol):
    """One connection. It reads no more of an answer than it must: its work must not be what is measured."""

    def __init__(self, request: bytes, until: float, seen: Seen, over: "asyncio.Future[None]") -> None:
        self._request, self._until, self._seen, self._over = request, until, seen, over
        self._sent, self._parts = 0.0, b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._parts, self._sent = b"", time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parts += data
        head = self._parts.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._parts.find(b"content-length: ") + 16
        if len(self._parts) < head + 4 + int(self._parts[at : self._parts.find(b"\r", at)]):
            return
        now, seen = time.perf_counter(), self._seen
        seen.latencies_us.append(int((now - self._sent) * 1e6))
        status = int(self._parts[9:12])
        seen.statuses[status] = seen.statuses.get(status, 0) + 1
        if status == 200:
            seen.oldest_ms = max(seen.oldest_ms, int(self._parts[head + 14 : self._parts.find(b",", head)]))
        if now < self._until:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        self._seen.broken += time.perf_counter() < self._until
        if not self._over.done():
            self._over.set_result(None)


async def load(port: int, clients: int, seconds: float, targets: list[str]) -> Seen:
    """The targets in turn, a client one."""
    loop, seen, until = asyncio.get_running_loop(), Seen(), time.perf_counter() + seconds
    overs = [loop.create_future() for _ in range(clients)]
    for number, over in enumerate(overs):
        target = targets[number % len(targets)]
        request = f"GET {target} HTTP/1.1\r\nHost: {HOST}:{port}\r\nAccept: application/json\r\n\r\n".encode()
        await loop.create_connection(lambda request=request, over=over: Client(request, until, seen, over), HOST, port)  # type: ignore[misc]
    await asyncio.wait_for(asyncio.gather(*overs), seconds + GRACE_SECONDS)
    return seen


def main(arguments: list[str]) -> int:
    port, clients, seconds, *targets = arguments
    seen = uvloop.run(load(int(port), int(clients), float(seconds), targets))
    print(json.dumps(vars(seen)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
