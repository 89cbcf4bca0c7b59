"""Jars are what the lock says, or are not kept: against a real HTTP server in this process."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.embedded.jars import LOCK, Jar, fetch_jars, read_lock
from deploy.embedded.ports import free_ports
from pipeline.errors import ListeningError, UnavailableError

CONTENT = b"PK a jar, as good as any"
GOOD = Jar("org.example:thing:1.2", hashlib.sha256(CONTENT).hexdigest())


class Repository:
    """Serves `files` by path, and remembers what was asked."""

    def __init__(self) -> None:
        self.files = {"/org/example/thing/1.2/thing-1.2.jar": CONTENT}
        self.asked: list[str] = []
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                repository.asked.append(self.path)
                body = repository.files.get(self.path)
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def repository() -> Iterator[Repository]:
    serving = Repository()
    thread = threading.Thread(target=serving.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield serving
    serving.server.shutdown()
    serving.server.server_close()
    thread.join()


def test_a_jar_is_fetched_once_silently_and_is_found_again(
    repository: Repository, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    notes: list[str] = []
    (first,) = fetch_jars(tmp_path, lock=[GOOD], base=repository.base, progress=notes.append)
    (second,) = fetch_jars(tmp_path, lock=[GOOD], base=repository.base, progress=notes.append)
    assert first == second == tmp_path / "jars" / "thing-1.2.jar"
    assert first.read_bytes() == CONTENT
    assert repository.asked == ["/org/example/thing/1.2/thing-1.2.jar"]
    assert len(notes) == 1
    assert capfd.readouterr() == ("", "")


def test_a_damaged_download_is_refused_and_not_kept(repository: Repository, tmp_path: Path) -> None:
    repository.files["/org/example/thing/1.2/thing-1.2.jar"] = CONTENT[:-1] + b"!"
    with pytest.raises(ListeningError, match=r"org\.example:thing:1\.2 was downloaded with sha256 .* jars\.lock\.json says"):
        fetch_jars(tmp_path, lock=[GOOD], base=repository.base)
    assert list((tmp_path / "jars").iterdir()) == []


def test_a_jar_that_was_damaged_on_disk_is_fetched_again(repository: Repository, tmp_path: Path) -> None:
    (path,) = fetch_jars(tmp_path, lock=[GOOD], base=repository.base)
    path.write_bytes(CONTENT[:5])
    fetch_jars(tmp_path, lock=[GOOD], base=repository.base)
    assert path.read_bytes() == CONTENT


def test_without_a_network_one_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"could not be downloaded .* check the network") as caught:
        fetch_jars(tmp_path, lock=[GOOD], base=f"http://127.0.0.1:{free_ports(1)[0]}")
    assert "\n" not in str(caught.value)


def test_a_jar_that_the_repository_lacks_is_named(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"org\.example:other:3 could not be downloaded"):
        fetch_jars(tmp_path, lock=[GOOD, Jar("org.example:other:3", "0" * 64)], base=repository.base)


def test_a_cache_that_cannot_be_written_names_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ListeningError, match=r"can't be kept in .*LISTENING_CACHE_DIR"):
        fetch_jars(tmp_path / "file", lock=[GOOD])


def test_the_lock_names_every_jar_once_by_coordinate_and_no_host() -> None:
    jars = read_lock()
    assert len({jar.filename for jar in jars}) == len(jars) > 40
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) for jar in jars)
    assert "http" not in LOCK.read_text()
    assert {"kafka_2.13", "log4j-slf4j-impl"} <= {
        entry["coordinate"].split(":")[1] for entry in json.loads(LOCK.read_text())
    }
