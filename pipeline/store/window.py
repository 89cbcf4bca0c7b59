"""The window that a question means: rounded to whole panes, whether it is final, and what is to be said of it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.rules import Rules
from pipeline.store.watermarks import Watermarks


@dataclass(frozen=True, slots=True)
class Window:
    """[start_ms, end_ms), whole panes. `final`: nothing that counts can still come. `note`: sentences, empty where none."""

    start_ms: int
    end_ms: int
    final: bool
    note: str


def window_of(rules: Rules, known: Watermarks, window_seconds: int, at_ms: int | None) -> Window:
    """The window of that length that ends at an instant, by default at the global watermark: end and length are rounded down
    to whole panes (the length to one at least)."""
    at = known.classified if at_ms is None else at_ms
    end = at - at % rules.pane_ms
    length = whole_panes(rules, window_seconds)
    notes = []
    if at_ms is not None and end != at:
        notes.append(f"the end {text(at)} was rounded down to {text(end)}, a whole pane of {rules.pane_ms // 1000} s")
    if length != window_seconds * 1000:
        notes.append(f"the length {window_seconds} s was rounded to {length // 1000} s, whole panes")
    final = 0 < end <= min(known.classified, known.counted) - rules.grace_ms
    return Window(max(0, end - length), end, final, "; ".join([*notes, *until(known, end)]))


def whole_panes(rules: Rules, seconds: int) -> int:
    """That length rounded down to whole panes, to one at least; milliseconds."""
    return max(rules.pane_ms, seconds * 1000 - seconds * 1000 % rules.pane_ms)


def until(known: Watermarks, end: int) -> list[str]:
    """What is to be said of an answer that reaches to `end`: a sentence, or none."""
    if not known.classified:
        return ["some partition has sent nothing yet, so there is no watermark"]
    if end > known.classified:
        return [f"the window ends after the watermark {text(known.classified)}: plays are still to come"]
    if end > known.counted:
        behind = text(known.counted) if known.counted else "nothing"
        return [f"counting is behind, it is whole up to {behind}: plays after that may be missing"]
    return []


def text(ms: int) -> str:
    """An instant for people."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
