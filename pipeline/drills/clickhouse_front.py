"""A ClickHouse server for drills: the embedded engine behind enough of ClickHouse's HTTP interface, and faults on demand.

client ─► port ─► faults ─► engine          test or person ─► control port ─► faults

`python -m pipeline.drills.clickhouse_front --path FOLDER --port 8123 --control-port 8124`, then
LISTENING_CLICKHOUSE_DSN=clickhouse://127.0.0.1:8123/default, and `curl -d '{"away": true}' 127.0.0.1:8124/faults`.
It leaves out users and passwords, compressed answers, progress headers, errors in the middle of an answer, external data.
"""

import argparse
import json
import signal
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import cramjam
from pydantic import ValidationError

from pipeline.drills.faults import Faults
from pipeline.drills.front_engine import Answer, Engine, EngineRefusal, parse
from pipeline.drills.front_http import Server

HOST = "127.0.0.1"
ENDING = {signal.SIGTERM, signal.SIGINT}
DECOMPRESS: dict[str, Callable[[bytes], Any]] = {
    "gzip": cramjam.gzip.decompress,
    "lz4": cramjam.lz4.decompress,
    "zstd": cramjam.zstd.decompress,
}


class Front:
    """Serves the engine in `path` on `port`, unless it is away."""

    def __init__(self, path: str, port: int) -> None:
        self.faults, self.engine = Faults(), Engine(path)
        self._port, self._change = port, threading.Lock()
        self._server: Server | None = None
        self.open()

    def answer(self, method: str, path: str, body: bytes, headers: Any) -> Answer | None:
        """The server's answer to a request, None where the connection is to be cut."""
        self.faults.hold()
        url = urlsplit(path)
        if url.path == "/ping":
            return Answer(200, b"Ok.\n")
        if encoding := headers.get("Content-Encoding"):
            body = bytes(DECOMPRESS[encoding](body))
        try:
            return self._run(method, dict(parse_qsl(url.query, keep_blank_values=True)), body)
        except EngineRefusal as refusal:
            return refusal.answer()

    def _run(self, method: str, parameters: dict[str, str], body: bytes) -> Answer | None:
        query = parse(parameters, body, is_get=method == "GET")
        code, says = self.faults.take_error(insert=query.is_insert)
        if code:
            name = self.engine.name_of(code)
            raise EngineRefusal(code, name, f"Code: {code}. DB::Exception: {says}. ({name})")
        if query.is_insert:
            time.sleep(self.faults.slow_seconds())
        answer = self.engine.run(query)
        if query.is_insert and self.faults.take_loss():
            return None
        answer.headers["X-ClickHouse-Query-Id"] = parameters.get("query_id") or str(uuid.uuid4())
        return answer

    def control(self, method: str, _path: str, body: bytes, _headers: Any) -> Answer:
        """GET tells the faults in force and what was counted, POST changes faults."""
        if method == "POST":
            try:
                wanted = self.faults.set(json.loads(body))
            except (ValidationError, ValueError, TypeError) as error:
                return Answer(400, f"{error}\n".encode())
            self.close() if wanted.away else self.open()
        return Answer(200, json.dumps(self.faults.told()).encode(), {"Content-Type": "application/json"})

    def open(self) -> None:
        """Listen, if it doesn't yet."""
        with self._change:
            if self._server is None:
                self._server = serve(self._port, self.answer)

    def close(self) -> None:
        """Stop listening and cut all connections: who connects is refused."""
        with self._change:
            if self._server is not None:
                self._server.close()
                self._server = None


def serve(port: int, answering: Callable[[str, str, bytes, Any], Answer | None]) -> Server:
    """A server that serves in a thread of its own."""
    server = Server(HOST, port, answering)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", required=True, help="the engine's folder")
    parser.add_argument("--port", type=int, required=True, help="where ClickHouse's HTTP is served")
    parser.add_argument("--control-port", type=int, required=True, help="where /faults is served")
    chosen = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # before any thread is made: they are for sigwait alone
    front = Front(chosen.path, chosen.port)
    serve(chosen.control_port, front.control)
    print(
        f"ClickHouse {front.engine.version} at {HOST}:{chosen.port}, faults at {HOST}:{chosen.control_port}/faults",
        flush=True,
    )
    signal.sigwait(ENDING)
    front.close()
    front.engine.close()


if __name__ == "__main__":
    main()
