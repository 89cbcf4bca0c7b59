"""When the counts were complete: from what the announcements say, and from when the log was first seen that long. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from pipeline.codec.headers import CountsHeaders


class Coverage:
    """How far `artist-counts` tells of each source partition. `lasts`: source partition → its last offset."""

    def __init__(self, lasts: Mapping[int, int]) -> None:
        self._left = dict(lasts)
        self.completed_by: int | None = None
        """The offset of the record with which everything was told; None until then."""

    def add(self, records: Iterable[tuple[int, CountsHeaders]]) -> None:
        """The next records of the log, by offset. Only an announcement's last part tells that it is whole."""
        for offset, headers in records:
            if self.completed_by is not None:
                return
            if headers.complete and headers.counted >= self._left.get(headers.partition, headers.counted + 1):
                del self._left[headers.partition]
            if not self._left:
                self.completed_by = offset


def first_seen(looks: Sequence[tuple[float, int]], offset: int) -> float:
    """The instant of the first look (instant, end offset) at which the log reached beyond this offset.

    Raises ValueError where none did.
    """
    for instant, end in looks:
        if end > offset:
            return instant
    raise ValueError(f"no look saw offset {offset}")
