"""What the broker, supervisord and the processes are told."""

import configparser
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.embedded.broker import require_free_ports
from deploy.embedded.broker_files import server_properties
from deploy.embedded.data_lock import data_lock
from deploy.embedded.ports import free_ports, is_listening
from deploy.embedded.programs import environment, programs_of
from deploy.embedded.supervisor_config import supervisor_config
from pipeline.errors import RefusedError
from pipeline.settings import load
from pipeline.topics import MAX_MESSAGE_BYTES


def test_the_broker_listens_on_the_loopback_only_and_keeps_everything() -> None:
    lines = server_properties(load(kafka_port=5001, kafka_controller_port=5002)).splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:5001,CONTROLLER://127.0.0.1:5002"
    assert properties["advertised.listeners"] == "PLAINTEXT://127.0.0.1:5001"
    assert properties["log.retention.ms"] == "-1"
    assert properties["auto.create.topics.enable"] == "false"
    assert int(properties["message.max.bytes"]) >= MAX_MESSAGE_BYTES
    assert int(properties["replica.fetch.max.bytes"]) >= MAX_MESSAGE_BYTES


@pytest.mark.parametrize("variable", ["LISTENING_KAFKA_PORT", "LISTENING_KAFKA_CONTROLLER_PORT"])
def test_a_busy_port_is_one_sentence_that_names_the_variable(variable: str) -> None:
    names = ("kafka_port", "kafka_controller_port")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = dict(zip(names, free_ports(2), strict=True))
        ports[variable.removeprefix("LISTENING_").lower()] = busy = taken.getsockname()[1]
        with pytest.raises(RefusedError, match=f"Port {busy} on 127.0.0.1 is in use: .* set {variable} to a free port"):
            require_free_ports(load(**ports))
        assert is_listening("127.0.0.1", busy)


def test_exit_78_stays_down_and_everything_is_stopped_by_group(tmp_path: Path) -> None:
    settings = load(data_dir=tmp_path / "100%")
    text = supervisor_config(settings, programs_of(settings), tmp_path / "100%", Path("/tmp/s"))
    config = configparser.RawConfigParser()
    config.read_string(text)
    assert config["group:workers"]["programs"] == "classify,rank,store"
    for name, restart in {"broker": "true", "classify": "unexpected", "rank": "unexpected", "store": "unexpected"}.items():
        program = config[f"program:{name}"]
        assert program["autorestart"] == restart
        assert program["exitcodes"] == "0,78"
        assert program["stopasgroup"] == program["killasgroup"] == "true"
        assert float(program["stopwaitsecs"]) <= 15
    assert "100%%" in config["supervisord"]["logfile"], "supervisord would expand a single per cent sign"


def test_with_a_kafka_of_ones_own_no_broker_is_started() -> None:
    assert [program.name for program in programs_of(load())] == ["broker", "classify", "rank", "store"]
    assert [program.name for program in programs_of(load(kafka_bootstrap="k:9092"))] == ["classify", "rank", "store"]


def test_a_process_loads_the_settings_it_was_started_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = load(run="other", partitions=7, append_time=False, data_dir=tmp_path, dlq_ceiling_ratio=0.25)
    monkeypatch.setenv("LISTENING_CLICKHOUSE_DSN", "not-for-this-run")
    code = "import pipeline.settings as s; print(s.load().model_dump_json())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(settings), capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == settings.model_copy(update={"cache_dir": settings.cache_dir.absolute()}).model_dump_json()


def test_a_second_start_on_a_data_folder_is_refused_and_names_the_first(tmp_path: Path) -> None:
    settings = load(data_dir=tmp_path)
    with (
        data_lock(settings),
        pytest.raises(RefusedError, match=f"process {os.getpid()}.*LISTENING_DATA_DIR"),
        data_lock(settings),
    ):
        pass
    with data_lock(settings):
        pass
