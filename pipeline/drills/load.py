"""The steady load of a drill: `listening produce` as a process of its own, with its ledger of the truth."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from signal import SIGINT

import yaml

from pipeline.drills.drill import Load
from pipeline.drills.ground import DrillError, Ground, spawn

PATIENCE_SECONDS = 180.0
"""How much longer than planned a load may take: its producer waits for a broker that is away."""


@contextmanager
def loading(ground: Ground, load: Load) -> Iterator[None]:
    """The load runs from here on; it is ended with the block where it is not over by then."""
    scenario = ground.folder / "drill.yaml"
    told = load.told(ground.seed).model_dump(mode="json", exclude_none=True, exclude={"name", "seed"})
    scenario.write_text(yaml.safe_dump(told))
    pace = ["--speed", str(load.minutes * 60 / load.seconds)] if load.is_curved else ["--rate", str(load.rate)]
    words = ["produce", "--scenario", str(scenario), "--seed", str(ground.seed), *pace, "--json"]
    with (ground.settings.run_dir / "logs" / "produce.log").open("w") as log:
        process = spawn(
            ground.settings, [sys.executable, "-m", "pipeline.cli", *words], stdout=subprocess.PIPE, stderr=log, text=True
        )
    ground.load = process
    ground.watch.add("produce", process.pid)
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def finished(ground: Ground, load: Load) -> None:
    """Wait until all is sent, or end it; how it went is in the ground's figures. Raises DrillError where it does not end."""
    assert ground.load is not None
    left = PATIENCE_SECONDS
    if load.until_over:
        ground.loaded()
        ground.load.send_signal(SIGINT)
    else:
        left += max(load.seconds - ground.second(), 0.0)
    try:
        said, _ = ground.load.communicate(timeout=left)
    except subprocess.TimeoutExpired:
        raise DrillError(f"the load was not over within {left:.0f} s") from None
    if not said:
        raise DrillError(f"the load ended with {ground.load.returncode}: {ground.log('produce').strip()[-500:]}")
    produced = json.loads(said)
    names = ("published", "acknowledged", "failed", "unknown")
    ground.figures |= {name: produced[name] for name in names}
