"""The gateway's HTTP where there is no Kafka, and where it believes to be reached from everywhere; it isn't."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from deploy.embedded.ports import free_ports
from pipeline.errors import Exit, RefusedError, SettingsError
from pipeline.http.keys import create
from pipeline.settings import Settings, load
from pipeline.store.serve import Server
from producers.gateway.app import make_app
from producers.gateway.calls import ON_LOOP_BYTES
from producers.gateway.parts import parts_of
from producers.gateway.serve import refuse_short_memory, serve
from tests.end_to_end.gateways import event, post


@contextmanager
def serving(settings: Settings) -> Iterator[Settings]:
    """The app without what runs beside it: nobody ever asks Kafka. Answers at the settings that are given."""
    parts = parts_of(settings)
    server = Server(uvicorn.Config(make_app(parts), host="127.0.0.1", port=settings.gateway_port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.listening.wait(20)
    try:
        yield settings.model_copy(update={"gateway_host": "127.0.0.1"})
    finally:
        server.should_exit = True
        thread.join(20)
        parts.close()


def get(settings: Settings, path: str, **headers: str) -> httpx.Response:
    return httpx.get(settings.gateway_url + path, trust_env=False, timeout=30, headers=headers)


def test_before_kafka_was_asked_nothing_is_published_and_each_dependency_says_how_it_is(tmp_path: Path) -> None:
    with serving(load(data_dir=tmp_path, kafka_bootstrap="127.0.0.1:1", gateway_port=free_ports(1)[0])) as settings:
        ready = get(settings, "/v1/ready")
        assert ready.status_code == 503
        told = ready.json()["dependencies"]
        assert {name: entry["ok"] for name, entry in told.items()} == {"kafka": False, "state": True, "keys": False}
        assert "listening keys add" in told["keys"]["reason"]
        secret = create(settings.keys_file, "client", ["publish"], now_ms=1)[1]
        answer = post(settings, secret, event(), Idempotency_Key="k")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.headers["RateLimit"] == '"events";r=60000;t=0', "what was refused is not charged"
        again = post(settings, secret, event(), Idempotency_Key="other")
        assert again.json()["title"] == answer.json()["title"] == "Kafka can't take it"
        assert get(settings, "/v1/ready").json()["dependencies"]["keys"] == {"ok": True, "reason": None}


def test_a_damaged_file_of_keys_is_told_by_ready_and_not_to_clients(tmp_path: Path) -> None:
    with serving(load(data_dir=tmp_path, kafka_bootstrap="127.0.0.1:1", gateway_port=free_ports(1)[0])) as settings:
        secret = create(settings.keys_file, "client", ["publish"], now_ms=1)[1]
        assert post(settings, secret, event()).json()["title"] == "Kafka can't take it"
        settings.keys_file.write_text("{")
        answer = post(settings, secret, event())
        assert answer.status_code == 503
        assert str(tmp_path) not in answer.text
        assert str(settings.keys_file) in get(settings, "/v1/ready").json()["dependencies"]["keys"]["reason"]


def test_beyond_this_machine_only_health_is_told_to_anybody(tmp_path: Path) -> None:
    beyond = load(data_dir=tmp_path, kafka_bootstrap="127.0.0.1:1", gateway_port=free_ports(1)[0], gateway_host="0.0.0.0")
    secret = create(beyond.keys_file, "client", ["publish"], now_ms=1)[1]
    with serving(beyond) as settings:
        assert get(settings, "/v1/health").status_code == 200
        for path in ("/metrics", "/v1/ready", "/openapi.json"):
            assert get(settings, path).status_code == 401
            assert get(settings, path, Authorization=f"Bearer {secret}").status_code in (200, 503)


def test_nobody_listens_beyond_this_machine_without_a_key_nor_where_another_one_does(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    with pytest.raises(RefusedError, match=r"the gateway would listen at 0\.0\.0\.0.*listening keys add") as refused:
        serve(load(data_dir=tmp_path, gateway_port=port, gateway_host="0.0.0.0"), as_json=False)
    assert refused.value.exit_code == Exit.STAY_DOWN
    with socket.create_server(("127.0.0.1", port)), pytest.raises(RefusedError, match=f"127.0.0.1:{port}.*--port"):
        serve(load(data_dir=tmp_path, gateway_port=port), as_json=False)


def test_nobody_serves_who_would_forget_an_answer_before_the_ids_of_its_events(tmp_path: Path) -> None:
    def short(seconds: int) -> Settings:
        return load(data_dir=tmp_path, horizon_seconds=90_000, max_ahead_seconds=600, gateway_keep_seconds=seconds)

    named = r"LISTENING_GATEWAY_KEEP_SECONDS is 90599.*LISTENING_HORIZON_SECONDS \+ LISTENING_MAX_AHEAD_SECONDS = 90600"
    with pytest.raises(SettingsError, match=named) as refused:
        serve(short(90_599), as_json=False)
    assert refused.value.exit_code == Exit.STAY_DOWN
    refuse_short_memory(short(90_600))
    refuse_short_memory(load())


def test_a_large_call_is_read_beside_the_loop_and_told_of_each_item(tmp_path: Path) -> None:
    with serving(load(data_dir=tmp_path, kafka_bootstrap="127.0.0.1:1", gateway_port=free_ports(1)[0])) as settings:
        secret = create(settings.keys_file, "client", ["publish"], now_ms=1)[1]
        assert len(json.dumps([event()] * 1_000)) > ON_LOOP_BYTES
        assert post(settings, secret, [event()] * 1_000).json()["title"] == "Kafka can't take it"
        refused = post(settings, secret, [event(user=0)] * 1_000)
        assert (refused.status_code, len(refused.json()["items"])) == (422, 1_000)
        assert {item["errors"][0]["field"] for item in refused.json()["items"]} == {"user_id"}
        assert post(settings, secret, [event()] * 1_001).status_code == 413
