"""How far a repartition has come: written behind the new log, never ahead of it.

A checkpoint is a state that was true once: everything before it is in the new log, acknowledged. After kill -9 the log
reaches further; since the merge is deterministic, what lies there must be what follows from the checkpoint, and is compared.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from pipeline.errors import RefusedError
from pipeline.lock import locked
from pipeline.settings import Settings
from producers.replay.places import sync

COUNTERS = ("events", "ticks", "ticks_read", "misrouted", "poison", "without_headers")


@dataclass(slots=True)
class Checkpoint:
    """Lists are by old partition (`position`, `ends`, `shown`) or by new one (`written`)."""

    source: str
    """The old run's name."""
    source_id: str
    """Its topic's id."""
    target_id: str
    ends: list[int]
    """The snapshot that is being copied: offsets below these."""
    position: list[int]
    """The next offset to copy."""
    written: list[int]
    """Records in the new log so far, ticks included: the offset that the next one gets."""
    shown: list[int]
    """The greatest tick of each old partition, epoch ms, 0: none."""
    due: tuple[int, int] | None = None
    """The tick that comes before the next record: clock and broker time."""
    chunks: int = 0
    """Files of places."""
    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))

    @property
    def finished(self) -> bool:
        """Whether all of the snapshot is copied."""
        return self.position == self.ends and self.due is None


class Workspace:
    """The folder in which a repartition keeps its checkpoint and its places."""

    def __init__(self, folder: Path, run: str) -> None:
        self._folder, self._run = folder, run

    def load(self) -> Checkpoint | None:
        """The last checkpoint, or None. Raises RefusedError where it can't be read."""
        try:
            found: Any = json.loads(self._file.read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise RefusedError(f"{self._file} is damaged ({error}): {begin_again(self._run)}") from None
        if not isinstance(found, dict) or found.keys() != {entry.name for entry in fields(Checkpoint)}:
            raise RefusedError(f"{self._file} was written by another version of this program: {begin_again(self._run)}")
        return Checkpoint(**found | {"due": found["due"] and tuple(found["due"])})

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint, durably."""
        unfinished = self._file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(asdict(checkpoint)))
        sync(unfinished)
        os.replace(unfinished, self._file)
        sync(self._folder)

    def chunk(self, number: int) -> Path:
        """The path of a chunk of places."""
        return self._folder / f"places-{number:06}.parquet"

    @property
    def _file(self) -> Path:
        return self._folder / "checkpoint.json"


@contextmanager
def workspace(new: Settings) -> Iterator[Workspace]:
    """The new run's workspace, held by this process alone. Raises RefusedError while another one holds it."""
    with held(new, "repartition") as folder:
        yield Workspace(folder, new.run)


@contextmanager
def held(new: Settings, command: str) -> Iterator[Path]:
    """The new run's folder for a command that fills its log, held by this process alone. Raises RefusedError while
    another one holds it."""
    folder = new.run_dir / command
    taken = f"Another `listening {command}` is copying into run {new.run}: wait until it is done."
    with locked(folder / "lock", lambda _: taken):
        yield folder


def begin_again(run: str, command: str = "repartition") -> str:
    """The remedy where a copy can't be gone on with."""
    return f"`listening delete {run} --yes`, then {command} again."
