"""Faults of the schema registry: away while workers start anew; a schema offered that does not fit."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import schemas
from deploy.embedded.programs import environment
from pipeline.drills.drill import Drill, Load
from pipeline.drills.ground import CLASSIFY, SETTINGS, Ground, require
from pipeline.drills.registry_process import Registry, registry
from pipeline.drills.told import Verdict
from pipeline.errors import Exit

AWAY_SECONDS, SETTLED_SECONDS = 15.0, 3.0


@contextmanager
def of_its_own(folder: Path) -> Iterator[tuple[dict[str, Any], Registry]]:
    """The run's registry is a copy of the schemas folder, served by a process of its own."""
    copy = folder / "schemas"
    shutil.copytree(schemas.FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__", "*.py", ".lock"))
    with registry(copy, SETTINGS["run"]) as made:
        yield {"schema_registry_url": made.url}, made


def away(ground: Ground) -> None:
    """Both workers start anew while it is away: what they don't know they must wait for. Then an unfit schema is offered."""
    assert isinstance(ground.around, Registry)
    ground.around.kill()
    ground.say("fault", "the schema registry is killed")
    ground.progressed()  # what is known is known
    ground.kill(*CLASSIFY)
    ground.until("both wait for it", lambda: all("waiting for the schema registry" in ground.log(name) for name in CLASSIFY))
    ground.hold(SETTLED_SECONDS)  # ticks before the first event still pass: they have no schema
    stood = ground.applied()
    ground.hold(AWAY_SECONDS)
    require(ground.applied() == stood, "events were classified without anybody knowing their schema")
    ground.loaded()
    ground.around.start()
    ground.say("fault", f"the schema registry is back after {AWAY_SECONDS:.0f} s")
    ground.progressed()
    ground.verdicts.append(unfit_is_refused(ground))


def unfit_is_refused(ground: Ground) -> Verdict:
    """An incompatible version is offered to the folder: refused, and not a byte of the folder changes."""
    folder = ground.folder / "offered"
    shutil.copytree(ground.around.folder, folder)
    document = json.loads((folder / schemas.EVENTS_SUBJECT / "1.avsc").read_text())
    document["fields"] = [field for field in document["fields"] if field["name"] != "user_id"]
    document["fields"].append({"name": "mood", "type": "string"})
    offered = ground.folder / "unfit.avsc"
    offered.write_text(json.dumps(document))
    before = contents(folder)
    asked = ground.settings.model_copy(update={"schema_registry_url": None, "schemas_dir": folder})
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "schemas", "add", str(offered)],
        env=environment(asked),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    ground.say("fault", "an incompatible schema is offered")
    holds = done.returncode == Exit.STAY_DOWN and contents(folder) == before
    return Verdict("unfit schema", holds, f"exit {done.returncode}, nothing written: {done.stderr.strip()[:300]}")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but its lock."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != ".lock"
    }


DRILLS = (
    Drill(
        18,
        "schema-registry",
        "Schema registry away, an unfit schema offered",
        f"the registry is killed, both classify workers start anew without it, {AWAY_SECONDS:.0f} s later it is back; an "
        "incompatible schema is offered",
        away,
        Load(seconds=50),
        silent=35,
        around=of_its_own,
    ),
)
