"""Some of the real faults in short, as a user runs them; the whole matrix, and the controls, are `make drills`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def processes_in(folder: Path) -> list[str]:
    """Command lines and environments of living processes that name the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in told:
                found.append(told.replace(b"\0", b" ").decode(errors="replace")[:200])
    return found


@pytest.mark.timeout(900)
def test_faults_1_3_6_7_9_and_12_in_short_leave_every_oracle_content(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "drill", "run", "short", "--seed", "3", "--out", str(tmp_path), "--json"],
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    report = json.loads((tmp_path / "report.json").read_text())
    (told,) = report["results"]
    assert done.returncode == 0, json.dumps(told["verdicts"], indent=1)[:8000] + told["error"] + done.stderr[-2000:]
    assert report["passed"]
    assert "seed 3" in done.stderr
    short = {verdict["oracle"]: verdict["holds"] for verdict in told["verdicts"]}
    assert {oracle[:2] for oracle in short} == {"O1", "O2", "O3", "O4", "O5", "O6"}
    assert all(short.values())
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert not processes_in(tmp_path), "something was left running"
