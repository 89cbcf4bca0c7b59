"""The dead-letter queue on a terminal: what a record's bytes say is shown, never obeyed."""

import io

import pytest
from rich.console import Console

from pipeline.commands import dlq
from pipeline.dlq.fates import STAYS, Fate
from pipeline.dlq.letters import Letter
from pipeline.settings import Settings, load

HOSTILE = "b'[/red][bold]\x1b[2J"


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    letter = Letter(0, 7, 1_760_000_000_000, f"odd{HOSTILE}", HOSTILE, b"k", b"v", [])
    fate = Fate(letter, STAYS, f"malformed_tick: {HOSTILE}")

    def letters(*_: object) -> tuple[Settings, list[Letter]]:
        return load(), [letter]

    monkeypatch.setattr(dlq, "_letters", letters)
    monkeypatch.setattr("pipeline.dlq.replay.predict", lambda *_: [fate])
    monkeypatch.setattr(dlq, "out", Console(file=stream, width=200))
    return stream


@pytest.mark.parametrize("command", ["list", "show", "replay"])
def test_markup_and_control_characters_of_a_record_are_text(shown: io.StringIO, command: str) -> None:
    {"list": lambda: dlq.list_letters(limit=20), "show": lambda: dlq.show(0, 7), "replay": lambda: dlq.replay(yes=False)}[
        command
    ]()
    assert shown.getvalue().count("[/red][bold]") >= 2
    assert "\x1b" not in shown.getvalue()
