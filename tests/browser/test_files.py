"""The page's files as they are served: of the right type, asked for anew, small, and none that isn't the page's."""

import hashlib
import http.client
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.embedded.ports import free_ports
from pipeline.api import page
from pipeline.api.page import FOLDER
from pipeline.settings import load
from tests.unit.store.conftest import opened, serving

OWN = sorted(path for path in FOLDER.iterdir() if path.is_file())
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
MOST_BYTES = 70_000


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Of a store that serves one link more than the page has, which leads out of its folder."""
    folder = tmp_path_factory.mktemp("copy") / "page"
    shutil.copytree(FOLDER, folder)
    (folder / "out.js").symlink_to(__file__)
    settings = load(data_dir=tmp_path_factory.mktemp("store"), store_port=free_ports(1)[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "FOLDER", folder)
        with (
            opened(settings) as pool,
            serving(pool, settings),
            httpx.Client(base_url=settings.store_url, timeout=120, trust_env=False) as client,
        ):
            yield client


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_a_file_has_its_type_and_is_sent_once(client: httpx.Client, path: Path) -> None:
    answer = client.get(f"/page/{path.name}")
    assert answer.content == path.read_bytes()
    assert answer.headers["content-type"].partition(";")[0] == TYPES[path.suffix]
    assert answer.headers["cache-control"] == "no-cache"
    again = client.get(f"/page/{path.name}", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_page_is_at_the_root(client: httpx.Client) -> None:
    assert client.get("/").content == (FOLDER / "index.html").read_bytes()
    assert client.get("/").headers["content-type"] == "text/html; charset=utf-8"
    assert client.head("/").status_code == 200


@pytest.mark.parametrize(
    "path", ["../page.py", "%2e%2e/page.py", "..%2fpage.py", "%2fetc%2fpasswd", "nothing.js", "out.js", "vendor", ""]
)
def test_nothing_else_is_served(client: httpx.Client, path: str) -> None:
    # By hand: a client that is kind takes the dots out.
    connection = http.client.HTTPConnection(str(client.base_url.host), client.base_url.port, timeout=120)
    connection.request("GET", f"/page/{path}")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("content-type")) == (404, "application/problem+json")
    connection.close()


def test_the_markup_has_no_script_or_style_of_its_own_and_loads_only_what_is_here() -> None:
    text = (FOLDER / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\ssrc=)|\sstyle=|<style|\son[a-z]+=", text) == []
    loaded = re.findall(r'<(?:script|link)[^>]*\s(?:src|href)="([^"]+)"', text)
    assert all((FOLDER / path.removeprefix("/page/")).is_file() for path in loaded)
    for path in OWN:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|https?://(?!www\.w3\.org)", path.read_text()
        )


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in OWN) < MOST_BYTES


def test_what_is_vendored_is_what_its_note_says() -> None:
    noted = dict(re.findall(r"\| (uPlot\S+) \| ([0-9a-f]{64}) \|", (FOLDER / "vendor" / "README.md").read_text()))
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (FOLDER / "vendor").glob("uPlot*")}
    assert noted == files
