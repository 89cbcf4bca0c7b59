"""One `listening up` at a time on a data folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import RefusedError
from pipeline.settings import Settings


@contextmanager
def data_lock(settings: Settings) -> Iterator[None]:
    """Hold the data folder. The lock is the system's: it ends with this process, however that ends.

    Raises RefusedError naming the process that holds it.
    """
    folder = settings.data_dir.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "up.pid", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RefusedError(
            f"{folder} can't be written ({error.strerror}): set LISTENING_DATA_DIR to another folder."
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 20).decode().strip() or "unknown"
            raise RefusedError(
                f"{folder} is in use by another `listening up` or `demo` (process {owner}): stop that one, "
                "or set LISTENING_DATA_DIR to another folder (and other ports)."
            ) from None
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
        os.truncate(descriptor, 0)
    finally:
        os.close(descriptor)
