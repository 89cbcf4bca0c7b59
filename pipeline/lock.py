"""A file that one process holds at a time."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import RefusedError


@contextmanager
def locked(path: Path, taken: Callable[[int], str]) -> Iterator[int]:
    """Hold a file of the data folder, made if it isn't there, and yield its descriptor. The lock is the system's: it ends
    with this process, however that ends.

    `taken`: descriptor → the sentence where another process holds it. Raises RefusedError with that, or where the file
    can't be written.
    """
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RefusedError(
            f"{folder} can't be written ({error.strerror}): set LISTENING_DATA_DIR to another folder."
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(taken(descriptor)) from None
        yield descriptor
    finally:
        os.close(descriptor)
