"""Real gateways under test, and a client that keeps the books: what it was told lies in the log, and where."""

import itertools
import json
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from confluent_kafka import Consumer, TopicPartition

from pipeline.http.keys import Scope, create
from pipeline.settings import Settings
from pipeline.topics import topics_of
from producers.columns import Columns
from producers.faults.poison import NO_POISON
from producers.kinds import Kind
from producers.ledger import Ledger, Status
from tests.end_to_end.processes import SECONDS, Processes, wait_for

JSON = {"Content-Type": "application/json"}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def event(user: int = 1, **changes: Any) -> dict[str, Any]:
    """A client's event, played just now, as JSON would have it."""
    return {
        "event_id": str(uuid.uuid4()), "user_id": user, "artist_id": user % 7 + 1, "track_id": user % 50 + 1, "album_id": 0,
        "played_at": now_ms(), "ms_played": 60_000, "track_ms": 90_000, "session_id": 1, "sequence": 0, "platform": "web",
        "service": "listening", "country": "DE", "offline": False, "reason_end": "finished", "sent_at": now_ms(),
    } | changes  # fmt: skip


def nameless(user: int = 1) -> dict[str, Any]:
    """One without an id: the gateway makes it."""
    return {name: value for name, value in event(user).items() if name != "event_id"}


def key_of(settings: Settings, name: str, scope: Scope = "publish", limit_events: int | None = None) -> str:
    """A new key's secret."""
    return create(settings.keys_file, name, [scope], limit_events, now_ms=now_ms())[1]


def start_gateway(running: Processes, settings: Settings, *, ready: bool = True) -> "subprocess.Popen[bytes]":
    """A gateway of these settings among the processes of a run; the process."""
    command = [sys.executable, "-m", "pipeline.cli", "gateway", "--port", str(settings.gateway_port), "--json"]
    among = running if running.settings == settings else _Other(running, settings)
    return among.start(name_of(settings), ready=ready, command=command)


def name_of(settings: Settings) -> str:
    return f"gateway-{settings.gateway_port}"


class _Other(Processes):
    """Processes under other settings that end with the first ones."""

    def __init__(self, running: Processes, settings: Settings) -> None:
        super().__init__(settings)
        self._started = running._started


def new_client() -> httpx.Client:
    """A connection of its own. Nothing is encrypted, and a context that could verify costs more than the call."""
    return httpx.Client(trust_env=False, timeout=SECONDS, verify=False)


def post(settings: Settings, secret: str, body: Any, **headers: str) -> httpx.Response:
    """One call on a connection of its own. `body`: bytes as they are, anything else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = JSON | {"Authorization": f"Bearer {secret}"} | {name.replace("_", "-"): value for name, value in headers.items()}
    with new_client() as client:
        return client.post(f"{settings.gateway_url}/v1/plays", content=content, headers=sent)


def ready(settings: Settings) -> httpx.Response:
    with new_client() as client:
        return client.get(f"{settings.gateway_url}/v1/ready")


def gauge(settings: Settings, name: str) -> float:
    """One of the gateway's metrics that has no labels."""
    with new_client() as client:
        text = client.get(f"{settings.gateway_url}/metrics").text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def events_in(settings: Settings) -> dict[tuple[int, int], uuid.UUID]:
    """The id of every event in the log by (partition, offset), read by hand: frame, then 16 bytes. Ticks are left out."""
    topic = topics_of(settings).events
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "none", "enable.auto.commit": False})
    try:
        places = [TopicPartition(topic.name, partition, 0) for partition in range(topic.partitions)]
        ends = {place.partition: consumer.get_watermark_offsets(place, timeout=SECONDS)[1] for place in places}
        consumer.assign(places)
        found: dict[tuple[int, int], uuid.UUID] = {}
        left = {partition for partition, end in ends.items() if end}
        deadline = time.monotonic() + SECONDS
        while left:
            assert time.monotonic() < deadline, "the log was not read in time"
            message: Any = consumer.poll(1.0)
            if message is None or message.error():
                continue
            if message.value() is not None:
                found[message.partition(), message.offset()] = uuid.UUID(bytes=message.value()[5:21])
            if message.offset() + 1 >= ends[message.partition()]:
                left.discard(message.partition())
        return {place: name for place, name in found.items() if place[1] < ends[place[0]]}
    finally:
        consumer.close()


def state_of(settings: Settings) -> list[list[tuple[Any, ...]]]:
    """All rows of the gateway's state, read beside it."""
    connection = sqlite3.connect(settings.gateway_dir / "state.sqlite")
    try:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1")]
        return [sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in tables]
    finally:
        connection.close()


def audit_of(settings: Settings) -> list[dict[str, Any]]:
    path = settings.gateway_dir / "audit" / "audit.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass
class Attempt:
    """One sending of a call. `items`: what was said of each event; None: nothing, so it may lie in the log."""

    events: list[dict[str, Any]]
    items: list[dict[str, Any]] | None = None
    is_retry: bool = False


@dataclass
class Client:
    """Sends calls one after the other, each until it is answered 202, to whichever gateway answers."""

    gateways: Sequence[Settings]
    secret: str
    number: int
    attempts: list[Attempt] = field(default_factory=list)
    answered: int = 0
    """Calls."""
    failure: BaseException | None = None

    def run(self, stop: threading.Event, events: int) -> None:
        try:
            users = itertools.count(self.number * 1_000_000 + 1)
            with new_client() as client:
                while not stop.is_set():
                    self._call(client, [event(next(users)) for _ in range(events)])
        except BaseException as error:
            self.failure = error

    def _call(self, client: httpx.Client, events: list[dict[str, Any]]) -> None:
        """Every other call has an Idempotency-Key."""
        keyed = self.answered % 2 == 0
        headers = JSON | {"Authorization": f"Bearer {self.secret}"}
        headers |= {"Idempotency-Key": str(uuid.uuid4())} if keyed else {}
        content, ours, deadline = json.dumps(events).encode(), [], time.monotonic() + SECONDS
        for gateway in itertools.cycle([*self.gateways[self.number % 2 :], *self.gateways[: self.number % 2]]):
            assert time.monotonic() < deadline, "no gateway answers"
            attempt = Attempt(events, is_retry=bool(ours))
            try:
                response = client.post(f"{gateway.gateway_url}/v1/plays", content=content, headers=headers)
            except httpx.ConnectError:
                time.sleep(0.02)
                continue
            except httpx.TransportError:  # nobody knows
                ours.append(attempt)
                self.attempts.append(attempt)
                continue
            if response.status_code == 409:
                time.sleep(0.05)
                continue
            assert response.status_code in (202, 503), response.text
            replayed = response.headers.get("Idempotency-Replayed") == "true"
            items = response.json().get("items")
            if replayed:  # of an attempt whose answer was lost
                ours[-1].items = items
            elif items is not None:
                attempt.items = items
                ours.append(attempt)
                self.attempts.append(attempt)
            if response.status_code == 202:
                self.answered += 1
                return
            time.sleep(0.05)

    def write_ledger(self, folder: Path) -> None:
        """What was sent and what was answered, for `verify` to judge."""
        rows = [(attempt, row) for attempt in self.attempts for row in range(len(attempt.events))]
        ledger = Ledger(folder / f"client-{self.number}.parquet")
        columns = _columns([(attempt.events[row], attempt.is_retry) for attempt, row in rows])
        answers = ledger.begin(columns)
        for number, (attempt, row) in enumerate(rows):
            item = attempt.items[row] if attempt.items else {"status": "unknown"}
            answers.status[number] = _STATUS[item["status"]]
            answers.partition[number], answers.offset[number] = item.get("partition"), item.get("offset")
        answers.handed = len(rows)
        ledger.end(columns, answers)
        ledger.close()


_STATUS = {"accepted": Status.ACKNOWLEDGED, "failed": Status.FAILED, "unknown": Status.UNKNOWN}


def _columns(rows: list[tuple[dict[str, Any], bool]]) -> Columns:
    ids = np.array([list(uuid.UUID(row["event_id"]).bytes) for row, _ in rows], np.uint8)
    names = ("user_id", "artist_id", "track_id", "ms_played", "played_at", "sent_at")
    columns: Columns = {name: np.array([row[name] for row, _ in rows], np.int64) for name in names}
    columns |= {name: np.zeros(len(rows), np.int64) for name in ("service", "look_alike")}
    columns["kind"] = np.array([Kind.PRODUCER_RETRY if is_retry else Kind.PLAY for _, is_retry in rows], np.int64)
    columns["poison"] = np.full(len(rows), NO_POISON, np.int64)
    return columns | {"event_id": ids, "original_id": np.zeros_like(ids)}


def under_load(clients: Sequence[Client], stop: threading.Event, events: int) -> list[threading.Thread]:
    threads = [threading.Thread(target=client.run, args=(stop, events)) for client in clients]
    for thread in threads:
        thread.start()
    return threads


def wait_for_answers(clients: Sequence[Client], more: int) -> None:
    """Until every client has been answered so many more calls."""
    before = [client.answered for client in clients]

    def reached() -> bool:
        for client in clients:
            if client.failure:
                raise client.failure
        return all(client.answered >= count + more for client, count in zip(clients, before, strict=True))

    wait_for("answers", reached)
