"""A store beyond this machine answers who has a key, and `listening` commands send theirs without ever showing it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from typer.testing import CliRunner

from deploy.embedded.ports import free_ports
from deploy.embedded.programs import environment
from pipeline import cli
from pipeline.errors import Exit, ListeningError, RefusedError
from pipeline.http.keys import create
from pipeline.settings import Settings, load
from pipeline.store import ask
from pipeline.store import serve as store
from pipeline.store.app import make_app
from pipeline.store.serve import Server
from pipeline.store.sinks import Sinks
from tests.unit.store.conftest import opened

SECRET = "lk_01234567_not-a-secret"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A store that believes to be reached from everywhere; it isn't."""
    settings = load(data_dir=tmp_path_factory.mktemp("store"), store_port=free_ports(1)[0], store_host="0.0.0.0")
    with opened(settings) as pool:
        config = uvicorn.Config(
            make_app(settings, pool, Sinks(settings, pool)), host="127.0.0.1", port=settings.store_port, log_config=None
        )
        server = Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        assert server.listening.wait(20)
        yield settings.model_copy(update={"store_host": "127.0.0.1"})
        server.should_exit = True
        thread.join(20)


def test_every_question_needs_a_key_to_read_and_commands_send_it(guarded: Settings) -> None:
    for path in ("/ready", "/schema", "/subjects", "/openapi.json", "/metrics", "/v1/top-artists", "/nowhere"):
        assert httpx.get(guarded.store_url + path, timeout=30, trust_env=False).status_code == 401, path
    with pytest.raises(ListeningError, match="set LISTENING_API_KEY"):
        ask.sql(guarded, "SELECT 1 AS one")
    for scope, works in (("publish", False), ("read", True)):
        secret = create(guarded.keys_file, scope, [scope], now_ms=1)[1]  # type: ignore[list-item]
        asking = load(**(guarded.model_dump() | {"api_key": secret}))
        if works:
            assert ask.sql(asking, "SELECT 1 AS one").to_pylist() == [{"one": 1}]
        else:
            with pytest.raises(ListeningError, match="not for read"):
                ask.sql(asking, "SELECT 1 AS one")


def test_a_store_beyond_this_machine_does_not_start_without_a_key(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="listening keys add NAME --scope read") as error:
        store.run(load(data_dir=tmp_path, store_host="0.0.0.0", store_port=free_ports(1)[0]))
    assert error.value.exit_code == Exit.STAY_DOWN
    assert not list(tmp_path.rglob("store"))


@pytest.mark.parametrize("arguments", [["settings"], ["settings", "--json"]])
def test_settings_never_print_the_key(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setenv("LISTENING_API_KEY", SECRET)
    shown = CliRunner().invoke(cli.app, arguments)
    assert shown.exit_code == Exit.OK
    assert "LISTENING_API_KEY" in shown.output
    assert "not-a-secret" not in shown.output
    assert "not-a-secret" not in repr(load())


def test_processes_that_are_started_get_the_key_itself() -> None:
    settings = load(api_key=SECRET)
    assert environment(settings)["LISTENING_API_KEY"] == SECRET
    assert "LISTENING_API_KEY" not in environment(load())
    assert environment(load(**settings.model_dump()))["LISTENING_API_KEY"] == SECRET
