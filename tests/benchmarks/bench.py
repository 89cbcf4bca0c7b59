"""`make bench`: the peers and ours side by side on one topic and broker, and every other measurement of speed.

ROUNDS=3     how often each contestant has its turn
EVENTS=…     events of the topic (2,000,000)
ONLY=a,b     only these contestants and measurements; then nothing in docs/ is written
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from deploy.embedded.interrupts import interrupts
from pipeline.errors import Exit, ListeningError
from tests.benchmarks.contest import CONTESTANTS, Contestant, Outcome, contest
from tests.benchmarks.document import document
from tests.benchmarks.drawing import write_svg
from tests.benchmarks.machine import machine
from tests.benchmarks.measures import MEASURES, Measure, Measured
from tests.benchmarks.tables import print_tables

ROOT = Path(__file__).parents[2]
KEPT, TRIED = ROOT / "docs" / "benchmarks", ROOT / ".listening" / "benchmarks"


def main() -> int:
    """Exit code 0 where all that is ours was exact and every bar held."""
    out, began = Console(width=None if sys.stdout.isatty() else 120), time.monotonic()
    notes = Console(stderr=True, highlight=False)

    def progress(line: str) -> None:
        notes.print(f"{time.monotonic() - began:6.0f} s  {line}", markup=False, soft_wrap=True)

    try:
        contestants, measures, full = _chosen(os.environ.get("ONLY", ""))
        events, rounds = _number("EVENTS", 2_000_000), _number("ROUNDS", 3)
        with interrupts():
            outcome = contest(contestants, events, rounds, progress) if contestants else Outcome()
            measured = _measure(measures, outcome, progress)
    except ListeningError as error:
        notes.print(str(error), markup=False)
        return error.exit_code
    except KeyboardInterrupt:
        notes.print("stopped")
        return Exit.CHECK_FAILED
    kept = document(outcome, measured, machine(), events=events, rounds=rounds)
    print_tables(kept, out)
    folder = KEPT if full else TRIED
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest.json").write_text(json.dumps(kept, indent=1, allow_nan=False) + "\n")
    write_svg(kept, folder / "latest.svg")
    progress(f"written to {os.path.relpath(folder)}")
    held = all(bar["holds"] for bar in kept["bars"].values()) and all(one["holds"] for one in measured.values())
    return Exit.OK if held and outcome.exact and not outcome.failed else Exit.CHECK_FAILED


def _chosen(only: str) -> tuple[list[Contestant], list[Measure], bool]:
    """Who takes part, and whether that is all. Raises ListeningError for a name that nobody has."""
    names = {name for name in only.replace(",", " ").split() if name}
    known = [one.name for one in (*CONTESTANTS, *MEASURES)]
    if unknown := names - set(known):
        raise ListeningError(f"ONLY={','.join(sorted(unknown))} names nobody; there are {', '.join(known)}")
    if not names:
        return [one for one in CONTESTANTS if not one.asked], list(MEASURES), True
    return [one for one in CONTESTANTS if one.name in names], [one for one in MEASURES if one.name in names], False


def _number(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.replace("_", "").isdecimal() or not int(text):
        raise ListeningError(f"{name}={text} must be a whole number from 1 on")
    return int(text)


def _measure(measures: list[Measure], outcome: Outcome, progress: Callable[[str], None]) -> dict[str, Measured]:
    found: dict[str, Measured] = {}
    for measure in measures:
        progress(f"measuring {measure.name}")
        try:
            found[measure.name] = measure.run()
            progress(f"{measure.name}: {found[measure.name]['verdict']}")
        except ModuleNotFoundError as error:
            if error.name != f"tests.benchmarks.{measure.module}":
                raise
            outcome.skipped[measure.name] = f"there is no {error.name}"
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            outcome.failed.setdefault(measure.name, []).append(f"{type(error).__name__}: {error}")
    return found


if __name__ == "__main__":
    sys.exit(main())
