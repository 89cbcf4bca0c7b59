"""Clients of the gateway, a process of their own; arguments: URL SECRET CLIENTS SECONDS RATE.

RATE is events a second over all clients, 0: as fast as answers come. Prints JSON: events, seconds, and the ms of each call,
from when it was due, so that a slow answer counts for the calls that wait behind it, too.
"""

import http.client
import json
import os
import sys
import threading
import time
import uuid
from urllib.parse import urlsplit

BATCH = 100
SECONDS = 30


class BenchClient:
    """One connection, one call after the other."""

    def __init__(self, url: str, secret: str, number: int) -> None:
        host = urlsplit(url)
        self._connection = http.client.HTTPConnection(host.hostname or "", host.port, timeout=SECONDS)
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        self._first = number * 1_000_000 + 1
        self.events, self.calls_ms = 0, list[float]()
        self.failure: Exception | None = None

    def run(self, began: float, until: float, every: float) -> None:
        """Until `until`, a call each `every` seconds, 0: at once. Instants are `time.perf_counter`'s."""
        try:
            due = began
            while (now := time.perf_counter()) < until:
                if every and now < due:
                    time.sleep(due - now)
                body = self._body()
                since = due if every else time.perf_counter()
                self._call(body)
                self.calls_ms.append((time.perf_counter() - since) * 1000)
                due += every
        except Exception as error:
            self.failure = error

    def _call(self, body: bytes) -> None:
        self._connection.request("POST", "/v1/plays", body, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 202:
            raise RuntimeError(f"{answer.status}: {text[:300]!r}")
        self.events += BATCH

    def _body(self) -> bytes:
        now, first = time.time_ns() // 1_000_000, self._first + self.events
        random = os.urandom(16 * BATCH)
        return json.dumps([
            {
                "event_id": str(uuid.UUID(bytes=random[16 * n : 16 * n + 16])), "user_id": first + n, "artist_id": n * n + 1,
                "track_id": n + 1, "album_id": 0, "played_at": now, "ms_played": 60_000, "track_ms": 90_000, "session_id": 1,
                "sequence": 0, "platform": "web", "service": "bench", "country": "DE", "offline": False,
                "reason_end": "finished", "sent_at": now,
            }
            for n in range(BATCH)
        ]).encode()  # fmt: skip


def main(url: str, secret: str, clients: int, seconds: float, rate: float) -> int:
    group = [BenchClient(url, secret, number) for number in range(1, clients + 1)]
    every = clients * BATCH / rate if rate else 0.0
    began = time.perf_counter()
    threads = [
        threading.Thread(target=client.run, args=(began + every * place / clients, began + seconds, every))
        for place, client in enumerate(group)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    for client in group:
        if client.failure:
            print(repr(client.failure), file=sys.stderr)
            return 1
    calls = [ms for client in group for ms in client.calls_ms]
    print(json.dumps({"events": sum(client.events for client in group), "seconds": took, "calls_ms": calls}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])))
