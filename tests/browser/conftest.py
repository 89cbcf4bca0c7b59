"""One browser and one run for all tests here; every test has a page of its own, against which nothing may be said."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from deploy.embedded.ports import free_ports
from pipeline.admin import ensure_topics
from pipeline.settings import Settings, load
from pipeline.store import queries
from producers.produce import Produced, produce
from producers.scenarios.clock import closing_clock
from tests.browser.looked_at import Complaints, Ranked, ranked, records, stored
from tests.browser.released import HOSTILE, ordinary, release, rename
from tests.conftest import new_run
from tests.end_to_end.processes import Processes, processes, wait_for

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WAIT_MS = 60_000
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 780}

Opened = Callable[..., Page]


@dataclass(frozen=True)
class Seen:
    """A run that was looked at while it happened: the list before and after the release, of one page that was never
    loaded again."""

    settings: Settings
    processes: Processes
    hit_artist_id: int
    empty: str
    before: Ranked
    after: Ranked
    complaints: list[str]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}: apt-get install chromium")
    with sync_playwright() as playwright:
        expect.set_options(timeout=WAIT_MS)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS], timeout=WAIT_MS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def seen(browser: Browser, broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    settings = load(
        run=new_run(),
        kafka_bootstrap=broker,
        data_dir=tmp_path_factory.mktemp("page"),
        store_port=free_ports(1)[0],
        session_seconds=6,
    )
    ensure_topics(settings)
    with processes(settings) as running:
        workers = {name: running.start(name, ready=False) for name in ("store", "rank", "classify")}
        for name, process in workers.items():
            running.wait_until_ready(name, process)
        page, complaints = browser.new_page(viewport=DESKTOP), Complaints()
        complaints.of(page)
        page.set_default_timeout(WAIT_MS)
        page.goto(settings.store_url)
        page.locator("#race-empty").wait_for()
        empty = page.locator("#race-empty").inner_text()
        with running.supervised(workers):
            first = produce(settings, ordinary(), show_progress=False)
            _all_counted(settings, first)
            before = _agreed(page, settings, first)
            second = release(settings)
            rename(settings, before[1][1], HOSTILE)
            wait_for("the new name", lambda: HOSTILE in [name for _, _, name, _ in ranked(page)])
            _all_counted(settings, second)
            after = _agreed(page, settings, first, second)
        page.close()
        assert second.hit_artist_id is not None
        yield Seen(settings, running, second.hit_artist_id, empty, before, after, complaints.said)


def _all_counted(settings: Settings, produced: Produced) -> None:
    """Wait until the store has it all: before that, its list and the page's may be the same and still change."""
    closed = closing_clock(produced.end, settings.rules)

    def counted() -> bool:
        known = queries.watermarks(settings)
        return min(known.classified, known.counted) >= closed

    wait_for("all to be counted", counted)


def _agreed(page: Page, settings: Settings, *produced: Produced) -> Ranked:
    """The page's list once it is the store's own."""
    published = sum(one.published for one in produced)
    wait_for(f"{published} records on the page", lambda: records(page) >= published)
    wait_for("the page's list to be the store's", lambda: bool(ranked(page)) and ranked(page) == stored(settings))
    return ranked(page)


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    """Opens pages by address. `clean=False`: the page is meant to miss something."""
    with ExitStack() as stack:
        complaints = Complaints()

        def opened(url: str, *, clean: bool = True, **context: Any) -> Page:
            made = stack.enter_context(browser.new_context(**({"viewport": DESKTOP} | context)))
            page = made.new_page()
            page.set_default_timeout(WAIT_MS)
            complaints.expected = not clean
            complaints.of(page)
            page.goto(url)
            return page

        yield opened
    assert complaints.said == []


@pytest.fixture
def page(seen: Seen, opened: Opened) -> Page:
    """The page of the run, once it shows its list."""
    page = opened(seen.settings.store_url)
    page.locator("#race li").first.wait_for()
    page.locator("#past").wait_for()
    return page
