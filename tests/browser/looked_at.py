"""What a page shows, read from it."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from playwright.sync_api import Page

from pipeline.settings import Settings
from pipeline.store import queries
from tests.end_to_end.processes import listening

_LIST = """() => [...document.querySelectorAll("#race li")].map((row) => [
  Number(row.querySelector(".rank").textContent), Number(row.dataset.artist), row.querySelector(".name").textContent,
  Number(row.querySelector(".plays").textContent.replaceAll(",", ""))])"""
_ROWS = """(id) => [...document.querySelectorAll(`#${id} tbody tr`)].map((row) =>
  Object.fromEntries([...row.cells].map((cell) => [cell.dataset.label, cell.textContent])))"""
_BEYOND = """() => [...document.querySelectorAll("body *")].filter((node) => {
  if (node.closest(".unseen, .skip, thead, datalist, option")) return false;
  const { left, right, width } = node.getBoundingClientRect();
  return width > 0 && (left < -1 || right > document.documentElement.clientWidth + 1);
}).map((node) => node.outerHTML.slice(0, 120))"""
_CUT = """() => [...document.querySelectorAll("body *")].filter((node) =>
  !node.closest(".unseen, thead, .uplot, .canvas") && node.textContent.trim() && node.clientWidth &&
  getComputedStyle(node).overflowX !== "visible" && node.scrollWidth > node.clientWidth + 1
).map((node) => node.outerHTML.slice(0, 120))"""

Ranked = list[list[Any]]


def ranked(page: Page) -> Ranked:
    """The list: rank, artist id, name, plays."""
    found: Ranked = page.evaluate(_LIST)
    return found


def rows(page: Page, table: str) -> list[dict[str, str]]:
    """The rows of the table within an element, by headings."""
    found: list[dict[str, str]] = page.evaluate(_ROWS, table)
    return found


def address(page: Page) -> str:
    """Of the page as it is now: `page.url` hears of a change that the page makes itself a moment later."""
    return str(page.evaluate("location.href"))


def look_back(page: Page, pages: int = 1, steps: int = 0) -> None:
    """Move the slider into the past, by its keys."""
    past = page.locator("#past")
    past.wait_for()
    past.focus()
    for key in ["PageDown"] * pages + ["ArrowLeft"] * steps:
        page.keyboard.press(key)


def misplaced(page: Page) -> list[str]:
    """What lies beyond the window, and what is cut off."""
    found: list[str] = page.evaluate(_BEYOND) + page.evaluate(_CUT)
    return found


def records(page: Page) -> int:
    text = page.locator("#records").inner_text()
    return int(text.replace(",", "")) if text[0].isdigit() else 0


def told(settings: Settings, *arguments: str) -> Any:
    """What a command says as JSON."""
    done = listening(settings, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def top(settings: Settings, *arguments: str) -> Ranked:
    """`listening top`, as the page shows it."""
    places = told(settings, "top", "-k", "15", *arguments)["artists"]
    return [_shown(**place) for place in places]


def stored(settings: Settings) -> Ranked:
    """As `top` without arguments, asked within this process: to be asked often."""
    return [_shown(**asdict(place)) for place in queries.top(settings, 15, settings.window_seconds).rows]


def _shown(rank: int, artist_id: int, name: str | None, plays: int) -> list[Any]:
    return [rank, artist_id, name or f"artist {artist_id}", plays]


@dataclass
class Complaints:
    """What a browser holds against a page. `expected`: the page is meant to miss something."""

    said: list[str] = field(default_factory=list)
    expected: bool = False

    def of(self, page: Page) -> None:
        page.on("console", lambda message: self._add(message.type in ("error", "warning"), f"console: {message.text}"))
        page.on("pageerror", lambda error: self._add(True, f"error: {error}"))
        page.on("requestfailed", lambda request: self._add(not _given_up(request), f"failed: {request.url}"))
        page.on("response", lambda answer: self._add(answer.status >= 400, f"{answer.status}: {answer.url}"))

    def _add(self, wrong: bool, sentence: str) -> None:
        if wrong and not self.expected:
            self.said.append(sentence)


def _given_up(request: Any) -> bool:
    """By the page itself: it looks at something else by now, or is left."""
    return "ERR_ABORTED" in (request.failure or "")
