"""The page for everybody: dark, on a phone, by screen reader; with a hostile name; with nothing played; without a store."""

import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from deploy.embedded.ports import free_ports
from pipeline.settings import Settings, load
from tests.browser.conftest import DESKTOP, PHONE, Opened, Seen
from tests.browser.looked_at import look_back, misplaced, ranked
from tests.browser.released import HOSTILE
from tests.end_to_end.processes import wait_for
from tests.unit.store.conftest import opened as opened_store
from tests.unit.store.conftest import serving

LOOKS = {
    "light": {"color_scheme": "light", "viewport": DESKTOP},
    "dark": {"color_scheme": "dark", "viewport": DESKTOP},
    "phone": {"color_scheme": "light", "viewport": PHONE},
}


@pytest.mark.parametrize("look", LOOKS)
def test_nothing_is_in_anybody_s_way(seen: Seen, opened: Opened, look: str) -> None:
    """All that can be shown is: an event's copies, the charts' tables, the past."""
    page = opened(seen.settings.store_url, **LOOKS[look])
    page.locator("#duplicates tbody button").first.click()
    page.locator("#copies tbody tr").first.wait_for()
    look_back(page)
    page.locator("#artist-chart canvas").wait_for()
    for summary in page.locator("summary").all():
        summary.click()
    expect(page.locator("#span")).to_contain_text("As it was")
    assert misplaced(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    found = Axe().run(page).response["violations"]
    grave = [
        (one["id"], [node["html"] for node in one["nodes"]]) for one in found if one["impact"] in ("serious", "critical")
    ]
    assert grave == [], json.dumps(grave, indent=1)


def _ground(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_the_theme_is_the_system_s_until_it_is_chosen_and_then_remembered(seen: Seen, opened: Opened) -> None:
    light, page = opened(seen.settings.store_url), opened(seen.settings.store_url, color_scheme="dark")
    dark = _ground(page)
    assert _ground(light) != dark
    button = page.locator("#theme")
    for name, ground in (("dark", dark), ("light", _ground(light))):
        button.click()
        expect(button).to_have_text(f"Theme: {name}")
        assert _ground(page) == ground
    page.reload()
    assert _ground(page) == _ground(light)


@pytest.mark.parametrize(("motion", "moved"), [("reduce", False), ("no-preference", True)])
def test_rows_travel_only_where_motion_is_wanted(seen: Seen, opened: Opened, motion: str, moved: bool) -> None:
    page = opened(seen.settings.store_url, reduced_motion=motion)
    page.locator("#race li").first.wait_for()
    page.evaluate("() => { window.moved = false; Element.prototype.animate = () => { window.moved = true; }; }")
    places = {artist: rank for rank, artist, _, _ in seen.after}
    look_back(page, pages=4)
    # On its way back it may show a list in which the figures are others, and the order is the same.
    wait_for("another order", lambda: any(places.get(artist, rank) != rank for rank, artist, _, _ in ranked(page)))
    assert page.evaluate("window.moved") is moved


@pytest.mark.parametrize("look", ["light", "phone"])
def test_a_hostile_name_is_text(seen: Seen, opened: Opened, look: str) -> None:
    page = opened(seen.settings.store_url, **LOOKS[look])
    row = page.locator("#race li").filter(has_text=HOSTILE)
    row.get_by_role("button").click()
    expect(page.locator("#artist-title")).to_have_text(HOSTILE)
    assert page.locator("main img, main b b").count() == 0
    assert page.title() == f"{seen.settings.run} · Listening"
    assert misplaced(page) == []


@pytest.fixture
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Of a store without broker or workers, nothing of which is up yet."""
    return load(data_dir=tmp_path_factory.mktemp("lonely"), store_port=free_ports(1)[0], kafka_port=free_ports(1)[0])


def test_a_store_that_goes_away_is_told_and_comes_back_by_itself(lonely: Settings, opened: Opened) -> None:
    with opened_store(lonely) as pool:
        with serving(pool, lonely):
            page = opened(lonely.store_url, clean=False)
            expect(page.locator("#banner")).to_contain_text("The run is not ready")
            expect(page.locator("#announcer")).to_contain_text("The run is not ready")
            expect(page.locator("#race-empty")).to_contain_text("Nobody has played anything yet")
            assert misplaced(page) == []
        expect(page.locator("#banner")).to_contain_text("No news: the store does not answer")
        expect(page.locator("#ready")).to_have_text("away")
        with serving(pool, lonely):
            expect(page.locator("#ready")).to_have_text("not ready")
            expect(page.locator("#announcer")).to_contain_text("The store answers again.")
            page.close()
