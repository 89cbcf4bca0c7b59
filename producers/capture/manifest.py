"""What a capture holds: manifest.json beside its files. The folder is the capture once the manifest is in it."""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import RefusedError
from producers.replay.places import sync

NAME = "manifest.json"
FILES = r"partition-\d{3}\.parquet"
FORMAT: Literal["listening-capture-1"] = "listening-capture-1"
_STRICT = ConfigDict(frozen=True, extra="forbid")
Count = Annotated[int, Field(ge=0)]


def file_name(partition: int) -> str:
    """The name of a partition's file."""
    return f"partition-{partition:03}.parquet"


class Captured(BaseModel):
    """One partition's range: offsets from `start` up to and without `end`."""

    model_config = _STRICT

    partition: Count
    start: Count
    end: Count
    records: Count
    """Of the range's offsets, those that hold one; the others are markers of transactions."""
    ticks: Count
    without_headers: Count
    """Records whose headers have names that are no UTF-8: null in the file."""
    first_appended_at: int | None
    """The least broker time, epoch ms; None without a record."""
    last_appended_at: int | None

    @property
    def file(self) -> str:
        """The name of the partition's file."""
        return file_name(self.partition)


class Manifest(BaseModel):
    """What was captured, and of which log."""

    model_config = _STRICT

    format: Literal["listening-capture-1"] = FORMAT
    run: str
    topic: str
    topic_id: str
    partitions: Annotated[int, Field(ge=1, le=256)]
    """Of the run; a capture of one of them keeps its number."""
    append_time: bool
    """Which kind of time `appended_at` was: the broker's LogAppendTime, or the record's own CreateTime."""
    captured: Annotated[list[Captured], Field(min_length=1)]

    @property
    def records(self) -> int:
        return sum(entry.records for entry in self.captured)

    def save(self, folder: Path) -> None:
        """Write it into the folder, durably."""
        path = folder / NAME
        path.write_text(self.model_dump_json(indent=2) + "\n")
        sync(path)


def load_manifest(folder: Path) -> Manifest:
    """The folder's manifest. Raises RefusedError where it is no capture, or a damaged one."""
    path = folder / NAME
    try:
        manifest = Manifest.model_validate(json.loads(path.read_text()))
    except OSError as error:
        raise RefusedError(
            f"{folder} is no capture ({NAME}: {error.strerror}): name a folder that `listening capture --out` wrote."
        ) from None
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(map(str, detail["loc"]))
        raise RefusedError(f"{path} can't be read ({where}: {detail['msg']}): capture again.") from None
    except ValueError as error:
        raise RefusedError(f"{path} is damaged ({error}): capture again.") from None
    numbers = [entry.partition for entry in manifest.captured]
    if numbers != sorted(set(numbers)) or numbers[-1] >= manifest.partitions:
        raise RefusedError(f"{path} is damaged (its partitions are {numbers} of {manifest.partitions}): capture again.")
    return manifest
