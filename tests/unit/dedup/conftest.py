from collections.abc import Iterator

import numpy as np
import pytest

from pipeline.dedup import blocks, table
from pipeline.dedup.index import Index


@pytest.fixture(params=["as it is", "small", "colliding"])
def layout(request: pytest.FixtureRequest) -> Iterator[None]:
    """How ids are kept. Small: blocks of two and an index of 16 places, so that all is soon used again. Colliding: the same,
    and every id has the same tag and the same bucket, the last."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param != "as it is":
            patch.setattr(blocks, "BITS", 1)
            patch.setattr(table, "_SMALLEST", 16)
        if request.param == "colliding":

            def home(self: Index, head: np.ndarray, _tail: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                tag = np.full(len(head), 0x8181818181818181, np.uint64)
                return np.full(len(head), len(self.words) - 5), tag

            patch.setattr(Index, "home", home)
        yield
