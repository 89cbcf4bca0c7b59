"""A server beyond this machine asks for keys; over real HTTP, with a real file of keys."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from deploy.embedded.ports import free_ports
from pipeline.errors import Exit, RefusedError
from pipeline.http.authorize import Authorize, is_loopback, refuse_open
from pipeline.http.keys import KeyRing, Scope, create, remove
from pipeline.store.serve import Server


@dataclass(frozen=True)
class Served:
    url: str
    file: Path
    secrets: dict[str, str]
    """By scope."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    secrets = {scope: create(file, scope, [scope], now_ms=1)[1] for scope in get_args(Scope)}
    app = FastAPI()
    app.get("/v1/health")(lambda: "alive")
    app.get("/")(lambda: "page")
    app.add_middleware(Authorize, keys=KeyRing(file), scope="read", open_paths=["/v1/health"])
    port = free_ports(1)[0]
    server = Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.listening.wait(20)
    yield Served(f"http://127.0.0.1:{port}", file, secrets)
    server.should_exit = True
    thread.join(20)


def get(served: Served, path: str = "/", **arguments: object) -> httpx.Response:
    return httpx.get(served.url + path, trust_env=False, timeout=30, **arguments)  # type: ignore[arg-type]


def test_health_alone_is_told_to_anybody(served: Served) -> None:
    assert get(served, "/v1/health").json() == "alive"
    for path in ("/", "/v1/health/", "/v1/health/../..", "//v1/health"):
        answer = get(served, path)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
        # A browser asks its user for a password, a program sees that it may send a token.
        assert answer.headers["www-authenticate"].startswith("Basic ")
        assert "Bearer " in answer.headers["www-authenticate"]


def test_a_key_to_read_opens_as_token_and_as_password(served: Served) -> None:
    secret = served.secrets["read"]
    assert get(served, headers={"Authorization": f"Bearer {secret}"}).json() == "page"
    assert get(served, headers={"Authorization": f"bearer  {secret}"}).json() == "page"
    assert get(served, auth=("anybody", secret)).json() == "page"
    assert get(served, auth=("", secret)).json() == "page"


def test_a_key_for_something_else_is_told_so(served: Served) -> None:
    answer = get(served, headers={"Authorization": f"Bearer {served.secrets['publish']}"})
    assert (answer.status_code, "not for read" in answer.json()["detail"]) == (403, True)


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer x", "Basic x", "Basic eA==", "Basic /w==", "Negotiate x", "{read}",
                                   "Bearer {read}x", "Bearer {read} {read}", "Basic {read}", "Bearer lk_"])  # fmt: skip
def test_what_is_no_key_opens_nothing(served: Served, given: str) -> None:
    assert get(served, headers={"Authorization": given.format(read=served.secrets["read"])}).status_code == 401


def test_two_authorizations_are_none(served: Served) -> None:
    header = ("Authorization", f"Bearer {served.secrets['read']}")
    assert get(served, headers=[header, header]).status_code == 401


def test_a_key_that_is_removed_opens_nothing_from_the_next_request_on(served: Served) -> None:
    secret = create(served.file, "short", ["read"], now_ms=1)[1]
    assert get(served, auth=("", secret)).status_code == 200
    remove(served.file, "short")
    assert get(served, auth=("", secret)).status_code == 401


def test_a_file_that_others_may_read_opens_nothing(served: Served) -> None:
    served.file.chmod(0o644)
    try:
        answer = get(served, auth=("", served.secrets["read"]))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    finally:
        served.file.chmod(0o600)


@pytest.mark.parametrize(
    ("host", "is_it"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("10.0.0.1", False), ("listening.example", False), ("127.0.0.1.example", False)],
)  # fmt: skip
def test_loopback_is_told_from_everywhere_else(host: str, is_it: bool) -> None:
    assert is_loopback(host) == is_it


def test_nobody_listens_beyond_this_machine_while_nobody_has_a_key_for_it(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    create(file, "publisher", ["publish"], now_ms=1)
    refuse_open("the store", "LISTENING_STORE_HOST", "127.0.0.1", file, "read")
    with pytest.raises(RefusedError, match=r"would listen at 0\.0\.0\.0.*--scope read.*LISTENING_STORE_HOST") as error:
        refuse_open("the store", "LISTENING_STORE_HOST", "0.0.0.0", file, "read")
    assert error.value.exit_code == Exit.STAY_DOWN
    create(file, "reader", ["read"], now_ms=1)
    refuse_open("the store", "LISTENING_STORE_HOST", "0.0.0.0", file, "read")
