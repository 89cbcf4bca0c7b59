"""The live page in a real browser over a real run: what it shows is what the commands say."""

import re

from playwright.sync_api import Page, expect

from pipeline.demo import copied_event
from tests.browser.conftest import Opened, Seen
from tests.browser.looked_at import address, look_back, ranked, rows, told, top
from tests.end_to_end.processes import wait_for


def test_a_page_that_stays_open_follows_a_run_from_nothing_through_a_release(seen: Seen) -> None:
    assert "listening scenario run" in seen.empty
    assert seen.before != seen.after
    assert len(seen.after) == 15
    assert seen.hit_artist_id in [artist for _, artist, _, _ in seen.after]
    assert seen.complaints == []


def test_the_list_is_that_of_listening_top(seen: Seen, page: Page) -> None:
    wait_for("the list", lambda: ranked(page) == top(seen.settings))


def test_the_slider_shows_the_past_says_so_and_leads_back(seen: Seen, page: Page) -> None:
    look_back(page, pages=3, steps=2)
    at = re.search(r"at=([^&]+)", address(page))
    assert at, address(page)
    expected = top(seen.settings, "--at", at[1])
    assert expected != seen.after
    wait_for("the list of then", lambda: ranked(page) == expected)
    shown = at[1][:19].replace("T", " ")
    expect(page.locator("#span")).to_contain_text(f"As it was at {shown} UTC")
    expect(page.locator("#past")).to_have_attribute("aria-valuetext", re.compile(rf"^{shown} UTC, .* before the watermark$"))
    page.get_by_role("button", name="Live").click()
    wait_for("the list of now", lambda: ranked(page) == seen.after)
    expect(page.locator("#span")).to_contain_text("Now")
    assert "at=" not in address(page)


def test_another_window_is_that_of_listening_top(seen: Seen, page: Page) -> None:
    page.get_by_label("Window", exact=True).select_option("600")
    expected = top(seen.settings, "--window", "600")
    assert expected != seen.after
    wait_for("the list", lambda: ranked(page) == expected)


def test_an_event_found_by_its_id_has_the_copies_of_listening_story(seen: Seen, page: Page) -> None:
    event_id = copied_event(seen.settings)
    page.get_by_label("Event id").fill(event_id)
    page.keyboard.press("Enter")
    page.locator("#copies tbody tr").first.wait_for()
    copies = told(seen.settings, "story", event_id)
    assert len(copies) > 1
    shown = [(int(row["Partition"]), int(row["Offset"]), row["Outcome"]) for row in rows(page, "copies")]
    assert shown == [(copy["partition"], copy["offset"], copy["outcome"]) for copy in copies]
    for row, copy in zip(rows(page, "copies"), copies, strict=True):
        assert copy["outcome"] != "duplicate" or f"offset {copy['first_offset']}" in row["Why"]


def test_what_became_of_a_copy_is_said_in_words(page: Page) -> None:
    at = "2026-11-26T08:37:30.000Z"
    copy = {"partition": 0, "offset": 9, "first_offset": 9, "service": "b", "played_at": at, "sent_at": at}
    first = copy | {"offset": 5, "first_offset": 5, "service": "a", "outcome": "accepted"}
    again = copy | {"first_offset": 5}
    later = {"sent_at": "2026-11-26T08:38:53.000Z"}
    sentences = {
        "Counted: the first": [copy | {"outcome": "accepted"}],
        "Counted, but marked: a had reported this listen at offset 5, played 0 s apart": [
            again | {"outcome": "accepted"},
            first,
        ],
        "Not counted: another service had reported this listen at offset 5": [again | {"outcome": "suspect"}],
        "Stored, but not counted: it came later": [copy | {"outcome": "late"}],
        "Dropped: the very record of offset 5 once more": [again | {"outcome": "duplicate"}, first],
        "Dropped: the client sent offset 5 again, 1 min 23 s after": [again | later | {"outcome": "duplicate"}, first],
        "Dropped: its id was seen before at offset 5, a play too short": [again | {"outcome": "duplicate"}],
    }
    for sentence, copies in sentences.items():
        said = page.evaluate("(copies) => import('/page/why.js').then(({ why }) => why(copies[0], copies))", copies)
        assert said.startswith(sentence)


def test_ids_beyond_what_a_number_holds_stay_whole(page: Page) -> None:
    answer = '{"rows":[{"artist_id":9223372036854775807,"plays":3},{"artist_id":42,"user_id":1000000000000001}]}'
    rows = page.evaluate("(text) => import('/page/ask.js').then(({ parse }) => parse(text).rows)", answer)
    assert rows == [{"artist_id": "9223372036854775807", "plays": 3}, {"artist_id": 42, "user_id": "1000000000000001"}]
    page.evaluate("history.replaceState(null, '', '#artist=9223372036854775807')")  # which the page doesn't hear of
    assert page.evaluate("import('/page/link.js').then(({ read }) => read().artist)") == "9223372036854775807"


def test_an_id_that_is_none_or_unknown_is_answered_in_a_sentence(seen: Seen, opened: Opened) -> None:
    page = opened(seen.settings.store_url, clean=False)
    page.get_by_label("Event id").fill("nothing")
    page.keyboard.press("Enter")
    expect(page.locator("#find-says")).to_contain_text("must be a UUID")
    page.get_by_label("Event id").fill("00000000-0000-7000-8000-000000000000")
    page.keyboard.press("Enter")
    expect(page.locator("#find-says")).to_contain_text("00000000-0000-7000-8000-000000000000")


def test_duplicates_are_paged_and_filtered(page: Page) -> None:
    page.locator("#duplicates tbody tr").first.wait_for()
    first = rows(page, "duplicates")
    places = {(row["Partition"], row["Offset"]) for row in first}  # an event may have two copies, on either side
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#page-says")).to_have_text("Page 2")
    assert not {(row["Partition"], row["Offset"]) for row in rows(page, "duplicates")} & places
    page.get_by_role("button", name="Previous").click()
    expect(page.locator("#page-says")).to_have_text("Page 1")
    assert rows(page, "duplicates") == first
    page.get_by_label("Platform").select_option("web")
    page.get_by_role("button", name="Show").click()
    wait_for("those of the web", lambda: {row["Platform"] for row in rows(page, "duplicates")} == {"web"})
    page.get_by_label("Service").fill("nobody")
    page.keyboard.press("Enter")
    expect(page.locator("#duplicates")).to_contain_text("No duplicates of that service and platform")


def test_who_skips_to_the_list_goes_on_looking_at_the_same(page: Page) -> None:
    look_back(page)
    before = address(page)
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#ranking")).to_be_focused()
    assert address(page) == before


def test_an_address_holds_what_is_looked_at(seen: Seen, page: Page, opened: Opened) -> None:
    look_back(page)
    page.locator(f"#race li[data-artist='{seen.after[2][1]}'] button").click()
    page.locator("#duplicates tbody button").first.click()
    page.locator("#copies tbody tr").first.wait_for()
    assert all(f"{name}=" in address(page) for name in ("at", "artist", "event"))
    expect(page.locator("#artist-title")).to_have_text(seen.after[2][2])
    other = opened(address(page))
    other.locator("#copies tbody tr").first.wait_for()
    for read in (ranked, lambda looked: rows(looked, "copies"), lambda looked: looked.locator("#artist-title").inner_text()):
        wait_for("the same page", lambda read=read: read(other) == read(page))  # type: ignore[misc]


def test_an_artist_s_story_tells_its_rank_and_all_of_its_plays(seen: Seen, page: Page) -> None:
    rank, artist, name, plays = next(place for place in seen.after if place[1] == seen.hit_artist_id)
    page.locator(f"#race li[data-artist='{artist}'] button").click()
    expect(page.locator("#artist-title")).to_have_text(name)
    expect(page.locator("#artist-rank")).to_contain_text(f"Rank {rank} of the hour")
    expect(page.locator("#artist-rank")).to_contain_text(f"{plays:,} plays")
    page.locator("#artist-chart summary").click()
    wait_for("its plays as a table", lambda: len(rows(page, "artist-chart")) > 10)
