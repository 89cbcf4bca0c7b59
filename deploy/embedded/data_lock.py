"""One `listening up` at a time on a data folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.lock import locked
from pipeline.settings import Settings


@contextmanager
def data_lock(settings: Settings) -> Iterator[None]:
    """Hold the data folder. Raises RefusedError naming the process that holds it."""
    folder = settings.data_dir.absolute()

    def taken(descriptor: int) -> str:
        owner = os.read(descriptor, 20).decode().strip() or "unknown"
        return (
            f"{folder} is in use by another `listening up` or `demo` (process {owner}): stop that one, "
            "or set LISTENING_DATA_DIR to another folder (and other ports)."
        )

    with locked(folder / "up.pid", taken) as descriptor:
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
        os.truncate(descriptor, 0)
