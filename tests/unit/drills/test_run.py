"""A drill that fails by a mistake of its own is a drill that failed: those after it are run."""

from pathlib import Path

import pytest

from pipeline.drills import run
from pipeline.drills.matrix import SHORT


def test_a_mistake_in_a_drill_is_a_failure_of_this_drill_with_its_traceback_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: object) -> None:
        raise KeyError("no such worker")

    monkeypatch.setattr(run, "grounded", mistaken)
    result = run.run_drill(SHORT[0], 1, tmp_path / "short", lambda _line: None)
    assert not result.passed
    assert "KeyError('no such worker')" in result.error
    assert "in mistaken" in (tmp_path / "short" / run.TRACEBACK).read_text()
