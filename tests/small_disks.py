"""Whether this machine lets a test mount a small disk of its own."""

import tempfile
from pathlib import Path

import pytest

from pipeline.drills.small_disk import small_disk
from pipeline.errors import RefusedError


def _refusal() -> str:
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder), 1):
                return ""
        except RefusedError as error:
            return str(error)


_why_not = _refusal()
needs_mounts = pytest.mark.skipif(bool(_why_not), reason=_why_not)
