"""The gateway, as real processes before a real broker: what it answers is so, whoever dies or stands still."""

import json
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.embedded.broker import prepare
from deploy.embedded.ports import free_ports
from pipeline.admin import ensure_topics, wait_for_broker
from pipeline.errors import Exit
from pipeline.settings import Settings, load
from pipeline.store.queries import watermarks
from tests.conftest import new_run
from tests.end_to_end.gateways import (
    JSON,
    Client,
    audit_of,
    event,
    events_in,
    gauge,
    key_of,
    name_of,
    nameless,
    new_client,
    post,
    ready,
    start_gateway,
    state_of,
    under_load,
    wait_for_answers,
)
from tests.end_to_end.processes import SECONDS, Processes, freeze, kill, processes, wait_for
from tests.end_to_end.test_pipeline import verdict_of

WHOLE_LIMIT = 50
LIMIT_SECONDS = 3_600
ACK_SECONDS = 10
"""Long enough to look at a call that waits for a broker that stands still."""


@dataclass(frozen=True)
class Slow:
    """A client that sends `first`, and then `more` for ever. `status`: what it is answered before it is cut off."""

    first: bytes
    more: bytes
    status: int
    late: int = 0
    """Where the machine is so slow that its time is over first: what it is answered then."""

    def until_closed(self, port: int) -> bytes:
        """What it was answered; returns when the connection is closed."""
        answer, deadline = b"", time.monotonic() + SECONDS
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection, suppress(ConnectionError):
            with suppress(ConnectionError):  # whatever is closed: what was said before is there to be read
                connection.sendall(self.first)
            connection.settimeout(0.05)
            while True:
                assert time.monotonic() < deadline, f"still open; it said {answer[:200]!r}"
                try:
                    if not (part := connection.recv(65536)):
                        break
                    answer += part
                except TimeoutError:
                    with suppress(TimeoutError, ConnectionError):
                        connection.sendall(self.more)
        return answer


@dataclass
class Pair:
    """Two gateways of one run, which has no workers. No pane ends while a test runs, so nobody ticks."""

    one: Settings
    two: Settings
    running: Processes
    second: "subprocess.Popen[bytes]"
    secret: str


@pytest.fixture(scope="module")
def pair(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    ports, folder, run = free_ports(2), tmp_path_factory.mktemp("gateway"), new_run()
    one, two = (
        load(
            run=run,
            kafka_bootstrap=broker,
            data_dir=folder,
            gateway_port=port,
            pane_seconds=86_400,
            window_seconds=86_400,
            gateway_body_bytes=1 << 17,
            gateway_batch_events=200,
            # However long a test stands still: no charge leaves the window, no call is given up or taken over.
            gateway_limit_seconds=LIMIT_SECONDS,
            gateway_ack_seconds=60,
            gateway_lease_seconds=600,
        )
        for port in ports
    )
    ensure_topics(one)
    secret = key_of(one, "client")
    with processes(one) as running:
        first, second = (start_gateway(running, settings, ready=False) for settings in (one, two))
        running.wait_until_ready(name_of(one), first)
        running.wait_until_ready(name_of(two), second)
        yield Pair(one, two, running, second, secret)


def test_an_answer_says_where_each_event_lies_and_what_is_wrong_with_the_others(pair: Pair) -> None:
    sent = [event(user) for user in range(1, 41)]
    sent[7] = sent[7] | {"platform": "toaster"}
    sent[9] = {**nameless(9), "event_id": "x"}
    sent.append(3)  # type: ignore[arg-type]
    answer = post(pair.one, pair.secret, {"events": sent})
    assert answer.status_code == 202, answer.text
    told = answer.json()
    assert (told["run"], told["accepted"], told["refused"]) == (pair.one.run, 38, 3)
    assert [item["index"] for item in told["items"]] == list(range(41))
    log = events_in(pair.one)
    for item, one in zip(told["items"], sent, strict=True):
        if item["index"] in (7, 9, 40):
            assert (item["status"], item["errors"][0]["field"]) == (
                "refused", {7: "platform", 9: "event_id", 40: ""}[item["index"]],
            )  # fmt: skip
        else:
            assert str(log[item["partition"], item["offset"]]) == one["event_id"]


def test_the_answer_to_an_idempotency_key_is_repeated_byte_by_byte_by_both_processes_and_after_a_restart(pair: Pair) -> None:
    body, key = [nameless(1), nameless(2)], str(uuid.uuid4())
    first = post(pair.one, pair.secret, body, Idempotency_Key=key)
    assert (first.status_code, first.headers.get("Idempotency-Replayed")) == (202, None)
    left = first.headers["RateLimit"]
    before = events_in(pair.one)
    again = post(pair.two, pair.secret, body, Idempotency_Key=key)
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["RateLimit"].split(";")[1] == left.split(";")[1], "a stored answer is not charged"
    other = post(pair.two, pair.secret, [*body, nameless(3)], Idempotency_Key=key)
    assert (other.status_code, other.json()["title"]) == (422, "Another call's Idempotency-Key")
    kill(pair.second)
    pair.second = start_gateway(pair.running, pair.two)
    late = post(pair.two, pair.secret, body, Idempotency_Key=key)
    assert (late.status_code, late.content, late.headers["Idempotency-Replayed"]) == (202, first.content, "true")
    assert events_in(pair.one) == before


def test_a_hundred_identical_calls_at_once_with_an_idempotency_key_make_each_event_once(pair: Pair) -> None:
    body, key = [nameless(user) for user in range(1, 6)], str(uuid.uuid4())
    before = events_in(pair.one)

    def call(number: int) -> tuple[bytes, set[int]]:
        codes, deadline = set[int](), time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            answer = post((pair.one, pair.two)[number % 2], pair.secret, body, Idempotency_Key=key)
            codes.add(answer.status_code)
            if answer.status_code != 409:
                return answer.content, codes
            assert answer.headers["Retry-After"] == "1"
        raise AssertionError("it stays in flight")

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(call, range(100)))
    assert len({content for content, _ in answers}) == 1
    assert set().union(*(codes for _, codes in answers)) <= {202, 409}
    after = events_in(pair.one)
    items = json.loads(answers[0][0])["items"]
    assert {(item["partition"], item["offset"]): uuid.UUID(item["event_id"]) for item in items} == {
        place: name for place, name in after.items() if place not in before
    }
    assert len(after) == len(before) + 5


def test_two_processes_share_a_key_s_limit_and_say_how_it_stands(pair: Pair) -> None:
    secret = key_of(pair.one, "limited", limit_events=WHOLE_LIMIT)
    before = len(events_in(pair.one))
    too_large = post(pair.one, secret, [event(user) for user in range(1, WHOLE_LIMIT + 2)])
    assert (too_large.status_code, "Retry-After" in too_large.headers) == (413, False)
    told = []
    for number in range(7):
        answer = post((pair.one, pair.two)[number % 2], secret, [event(user) for user in range(1, 11)])
        assert answer.headers["RateLimit-Policy"] == f'"events";q={WHOLE_LIMIT};qu="events";w={LIMIT_SECONDS}'
        told.append((answer.status_code, answer.headers["RateLimit"].split(";")[1]))
        if answer.status_code == 429:
            assert 1 <= int(answer.headers["Retry-After"]) <= LIMIT_SECONDS
    left = [(202, f"r={remaining}") for remaining in (40, 30, 20, 10, 0)]
    assert told == [*left, (429, "r=0"), (429, "r=0")]
    assert len(events_in(pair.one)) == before + WHOLE_LIMIT


def hostile() -> dict[str, tuple[str, str, bytes, dict[str, str]]]:
    """Method, path, body, headers (given ones replace what a good call has; empty: left out)."""
    good, key = json.dumps(event()).encode(), {"Idempotency-Key": "hostile"}

    def changed(**changes: Any) -> bytes:
        return json.dumps(event(**changes)).encode()

    bodies = {
        "empty": b"",
        "no JSON": b"<event/>",
        "NaN": good.replace(b"60000", b"NaN"),
        "Infinity": good.replace(b"60000", b"Infinity"),
        "1e400": good.replace(b"60000", b"1e400"),
        "a float": good.replace(b"60000", b"60000.0"),
        "huge number": good.replace(b"60000", b"9" * 4_000),
        "endless number": good.replace(b"60000", b"9" * 9_000),
        "depth bomb": b"[" * 60_000,
        "objects' depth bomb": b'{"a":' * 20_000,
        "name twice": good[:-1] + b', "user_id": 2}',
        "invalid UTF-8": good.replace(b'"DE"', b'"\xff\xff"'),
        "lone surrogate": good.replace(b'"listening"', b'"\\ud800"'),
        "lone surrogate as name": good[:-1] + b', "\\udfff": 1}',
        "NUL": changed(service="\0" * 65),
        "another type": changed(user_id="1"),
        "negative": changed(user_id=-1),
        "64 bits and one": changed(user_id=2**63),
        "far future": changed(played_at=4_000_000_000_000),
        "seconds": changed(played_at=1_795_392_000),
        "unknown field": changed(admin=True),
        "prototype": changed(__proto__={"admin": True}),
        "id is none": changed(event_id="1; DROP TABLE plays"),
        "id is null": changed(event_id=None),
        "no events": b"[]",
        "events and more": b'{"events": [], "run": "other"}',
        "too many events": json.dumps([event()] * 201).encode(),
        "too long": b" " * (1 << 17) + good,
        "no id and no key": json.dumps(nameless()).encode(),
    }
    heads: dict[str, dict[str, str]] = {
        "no key": {"Authorization": ""},
        "another scheme": {"Authorization": "Digest x"},
        "unknown key": {"Authorization": "Bearer lk_00000000_" + "x" * 43},
        "by password": {"Authorization": "Basic dTpw"},
        "no media type": {"Content-Type": ""},
        "form": {"Content-Type": "application/x-www-form-urlencoded"},
        "another charset": {"Content-Type": "application/json; charset=utf-16"},
        "gzip": {"Content-Encoding": "gzip"},
        "key has a space": {"Idempotency-Key": "a b"},
        "key is long": {"Idempotency-Key": "k" * 201},
        "another host": {"Host": "evil.example"},
        "another origin": {"Origin": "https://evil.example"},
        "large header": {"X-Large": "x" * 20_000},
    }
    paths = [("GET", "/v1/plays"), ("PUT", "/v1/plays"), ("DELETE", "/v1/plays"), ("POST", "/v1/plays/"), ("POST", "/v1"),
             ("POST", "/v1/../v1/plays%00"), ("POST", "/v1/health"), ("OPTIONS", "/v1/plays"), ("POST", "/%ff"),
             ("GET", "/openapi.json.bak"), ("TRACE", "/v1/plays")]  # fmt: skip
    found = {name: ("POST", "/v1/plays", body, key) for name, body in bodies.items() if name != "no id and no key"}
    found["no id and no key"] = ("POST", "/v1/plays", bodies["no id and no key"], {})
    found |= {name: ("POST", "/v1/plays", good, headers) for name, headers in heads.items()}
    found |= {f"{method} {path}": (method, path, good, {}) for method, path in paths}
    return found


def test_hostile_calls_are_refused_told_to_the_audit_log_and_change_nothing(pair: Pair) -> None:
    calls = hostile()
    assert len(calls) >= 30
    reader = key_of(pair.one, "reader", "read")
    before, state, audited = events_in(pair.one), state_of(pair.one), len(audit_of(pair.one))
    codes: dict[str, int] = {}
    with new_client() as client:
        for name, (method, path, body, headers) in calls.items():
            sent = JSON | {"Authorization": f"Bearer {pair.secret}"} | headers
            answer = client.request(
                method,
                pair.one.gateway_url + path,
                content=body,
                headers={header: value for header, value in sent.items() if value},
            )
            codes[name] = answer.status_code
            assert 400 <= answer.status_code < 500, (name, answer.status_code, answer.text)
            assert answer.headers["content-type"] == "application/problem+json", name
            assert answer.json()["status"] == answer.status_code
        answer = client.post(f"{pair.one.gateway_url}/v1/plays", json=event(), headers={"Authorization": f"Bearer {reader}"})
        assert (answer.status_code, "WWW-Authenticate" in answer.headers) == (403, True)
        assert client.get(f"{pair.one.gateway_url}/v1/health").status_code == 200, "it lives"
    expected = {"no key": 401, "unknown key": 401, "form": 415, "gzip": 415, "too long": 413, "too many events": 413,
                "another host": 421, "another origin": 403, "NaN": 400, "far future": 422, "GET /v1/plays": 405,
                "large header": 431, "key is long": 400}  # fmt: skip
    assert {name: codes[name] for name in expected} == expected
    assert events_in(pair.one) == before
    assert state_of(pair.one) == state
    wait_for("audit lines", lambda: len(audit_of(pair.one)) >= audited + len(calls) + 1)
    lines = audit_of(pair.one)[audited:]
    assert Counter(line["status"] for line in lines) == Counter([*codes.values(), 403])
    assert lines[-1]["key"] == reader.split("_")[1]
    assert not [line for line in lines if pair.secret.split("_")[2] in json.dumps(line)]


def test_a_gateway_without_any_key_names_the_command_and_publishes_as_soon_as_there_is_one(settings: Settings) -> None:
    ensure_topics(settings)
    alone = load(**(settings.model_dump() | {"gateway_port": free_ports(1)[0]}))
    with processes(alone) as running:
        process = start_gateway(running, alone)
        answer = post(alone, "lk_00000000_x", event())
        assert (answer.status_code, "listening keys add" in answer.json()["detail"]) == (403, True)
        told = ready(alone)
        assert (told.status_code, told.json()["dependencies"]["keys"]["ok"]) == (503, False)
        assert told.json()["dependencies"]["kafka"] == {"ok": True, "reason": None}
        assert post(alone, key_of(alone, "client"), event()).status_code == 202
        assert ready(alone).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert running.ended(process) == Exit.OK


def test_slow_and_endless_clients_are_cut_off_while_others_are_served(settings: Settings) -> None:
    ensure_topics(settings)
    changes = {"gateway_port": free_ports(1)[0], "gateway_client_seconds": 2.0, "gateway_body_bytes": 1 << 16}
    hasty = load(**(settings.model_dump() | changes))
    secret = key_of(hasty, "client")
    head = b"POST /v1/plays HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {secret}\r\n".encode()
    chunked, a_chunk = head + b"Transfer-Encoding: chunked\r\n\r\n", b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    slow = {
        "says nothing": Slow(b"", b"", 408),
        "stops within the headers": Slow(head, b"", 408),
        "a header a moment": Slow(head, b"X: y\r\n", 408),
        "line ends for ever": Slow(b"", b"\r\n", 408),
        "stops within the body": Slow(head + b"Content-Length: 9\r\n\r\n[", b"", 408),
        "a byte of body a moment": Slow(head + b"Content-Length: 999\r\n\r\n[", b" ", 408),
        "a chunk a moment": Slow(chunked, b"1\r\n \r\n", 408),
        "a refused body for ever": Slow(
            b"POST /v1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\n", b" ", 404, 408
        ),
        "line ends after an answer": Slow(b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\r\n", 200, 408),
        "an endless header": Slow(head + b"X: " + b"x" * 20_000, b"x" * 5_000, 431, 408),
        "an endless path": Slow(b"GET /" + b"x" * 20_000, b"x" * 5_000, 431, 408),
        "endless chunks": Slow(chunked + a_chunk * 3, a_chunk, 413, 408),
    }

    def served() -> bool:
        with suppress(httpx.TransportError):  # on a machine so slow that the call's own time is over, it is cut off, too
            return post(hasty, secret, event()).status_code == 202
        return False

    with processes(hasty) as running:
        start_gateway(running, hasty)
        with ThreadPoolExecutor(len(slow)) as pool:
            answered = pool.map(lambda client: client.until_closed(hasty.gateway_port), slow.values())
            wait_for("a call that is in time", served)
            found = dict(zip(slow, answered, strict=True))
    for name, answer in found.items():
        said = [f"HTTP/1.1 {status} ".encode() for status in (slow[name].status, slow[name].late)]
        assert answer.startswith(tuple(said)), (name, answer)
    assert len(events_in(hasty)) == 1


def test_through_a_kill_under_load_all_that_was_acknowledged_is_in_the_log_and_copies_count_once(settings: Settings) -> None:
    # The grace is longer than any call is repeated for: however long the machine stands still, nothing comes too late.
    changes = {"window_seconds": 60, "grace_seconds": 300, "pane_seconds": 2, "gateway_lease_seconds": 1}
    ports = free_ports(2)
    run, other = (load(**(settings.model_dump() | changes | {"gateway_port": port})) for port in ports)
    ensure_topics(run)
    secret = key_of(run, "client")
    with processes(run) as running:
        started = {name: running.start(name, ready=False) for name in ("store", "rank", "classify")}
        first, second = (start_gateway(running, one, ready=False) for one in (run, other))
        for name, process in [*started.items(), (name_of(run), first), (name_of(other), second)]:
            running.wait_until_ready(name, process)

        # 1. A hundred identical calls at once, by ids alone: all copies are published.
        copied = [event(user) for user in range(1, 4)]
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda number: post((run, other)[number % 2], secret, copied), range(100)))
        assert {answer.status_code for answer in answers} == {202}

        # 2. One gateway is killed under load and started again, then the other one is asked to stop.
        clients = [Client((run, other), secret, number) for number in range(1, 4)]
        stop = threading.Event()
        threads = under_load(clients, stop, events=20)
        try:
            wait_for_answers(clients, 8)
            kill(first)
            wait_for_answers(clients, 8)
            first = start_gateway(running, run)
            second.send_signal(signal.SIGTERM)
            assert running.ended(second) == Exit.OK, running.log(name_of(other))
            wait_for_answers(clients, 8)
        finally:
            stop.set()
            for thread in threads:
                thread.join(2 * SECONDS)
        assert [client.failure for client in clients] == [None] * 3

        # 3. Nothing is played any more, and nobody but the gateway ticks: time goes on beyond the last play, for all
        # partitions and up to the counts, so windows will become final when the grace is over.
        last = max(one["played_at"] for client in clients for attempt in client.attempts for one in attempt.events)
        wait_for("time that goes on", lambda: watermarks(run).counted > last)
        first.send_signal(signal.SIGTERM)
        assert running.ended(first) == Exit.OK, running.log(name_of(run))

        # 4. Every answer is true of the log; verify judges the ledger and the store.
        log = events_in(run)
        for item in (item for answer in answers for item in answer.json()["items"]):
            assert str(log[item["partition"], item["offset"]]) == item["event_id"]
        for client in clients:
            client.write_ledger(run.ledger_dir)
        verdict = verdict_of(run)
        assert verdict.exact, json.dumps(verdict.as_json(), indent=1)[:3000]
        ids = {one["event_id"] for client in clients for attempt in client.attempts for one in attempt.events}
        in_log = Counter(str(name) for name in log.values())
        assert [in_log[one["event_id"]] for one in copied] == [100] * 3
        assert set(in_log) - {one["event_id"] for one in copied} <= ids
        acknowledged = {
            item["event_id"]
            for client in clients
            for attempt in client.attempts
            for item in attempt.items or []
            if item["status"] == "accepted"
        }
        assert acknowledged <= set(in_log)
        assert verdict.outcomes["accepted"] == len(in_log)
        assert verdict.outcomes["duplicate"] == len(log) - len(in_log) >= 297


def test_while_kafka_stands_still_calls_are_told_to_come_back_and_few_are_tried(tmp_path: Path) -> None:
    kafka, controller, port = free_ports(3)
    settings = load(
        run="frozen",
        data_dir=tmp_path,
        kafka_port=kafka,
        kafka_controller_port=controller,
        gateway_port=port,
        gateway_ack_seconds=ACK_SECONDS,
        gateway_in_flight_events=10,
        pane_seconds=86_400,
        window_seconds=86_400,
    )
    secret = key_of(settings, "client")
    with processes(settings) as running:
        broker = running.start("broker", ready=False, command=prepare(settings))
        wait_for_broker(settings, 60)
        ensure_topics(settings)
        start_gateway(running, settings)
        assert post(settings, secret, event()).status_code == 202
        before = events_in(settings)
        freeze(broker)

        # A call waits its time in vain; what is beyond the room in flight is refused at once.
        body = [nameless(user) for user in range(1, 7)]
        with ThreadPoolExecutor(5) as pool:
            waiting = pool.submit(post, settings, secret, body, Idempotency_Key="a")
            wait_for("a call in flight", lambda: gauge(settings, "listening_gateway_in_flight_events") == 6)
            beyond = post(settings, secret, body, Idempotency_Key="b")
            late = waiting.result()
            assert [answer.json()["title"] for answer in (beyond, late)] == ["Too much in flight", "Not acknowledged"]
            assert Counter(item["status"] for item in late.json()["items"]) == {"unknown": 6}

            # So many failures in a row, and the breaker lets nobody on: it says so.
            answers = [beyond, late]
            while answers[-1].json()["title"] != "Kafka does not answer" and len(answers) < 40:
                answers += pool.map(lambda _: post(settings, secret, event()), range(5))
        assert answers[-1].json()["title"] == "Kafka does not answer"
        assert {(answer.status_code, int(answer.headers["Retry-After"]) >= 1) for answer in answers} == {(503, True)}
        wait_for("not ready", lambda: ready(settings).status_code == 503)
        told = ready(settings)
        assert told.json()["breaker"] in ("open", "half_open")
        assert not told.json()["dependencies"]["kafka"]["ok"]

        # Kafka goes on: a probe closes the breaker, and the call that had failed is begun anew with the same ids.
        broker.send_signal(signal.SIGCONT)
        wait_for("a call that is answered", lambda: post(settings, secret, body, Idempotency_Key="a").status_code == 202)
        wait_for("ready", lambda: ready(settings).status_code == 200)
        done = post(settings, secret, body, Idempotency_Key="a")
        assert done.headers["Idempotency-Replayed"] == "true"
        log = events_in(settings)
        assert {uuid.UUID(item["event_id"]) for item in done.json()["items"]} <= set(log.values())
        for item in done.json()["items"]:
            assert str(log[item["partition"], item["offset"]]) == item["event_id"]
        assert before.items() <= log.items()
