"""Near-duplicates: one listen that two services report, each under an id of its own (pure).

    same user and track, another service, played_at within the tolerance, of an accepted row that is itself no near-duplicate

A row is compared with accepted rows only, so there are no chains: what was taken for a copy makes no copies. And since a
row that is late is judged before, a row matters only until the watermark has passed its played_at by grace + tolerance:
minutes, where ids are remembered for hours.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.dedup.table import Longs, Rows, Table, grown

Codes = npt.NDArray[np.int32]
NONE = -1
_FEW = 1024
"""Rows that aren't worth looking through for old ones."""


@dataclass(frozen=True, slots=True)
class Listens:
    """Who listened to what, as columns of equal length; `service` is an index into `services`. Times are epoch ms."""

    offset: Longs
    user_id: Longs
    track_id: Longs
    played_at: Longs
    service: Codes
    services: tuple[str, ...]

    def take(self, rows: Rows | npt.NDArray[np.bool_]) -> "Listens":
        """These rows."""
        who, what = self.user_id[rows], self.track_id[rows]
        return Listens(self.offset[rows], who, what, self.played_at[rows], self.service[rows], self.services)


class _Groups(Table):
    """(user, track) → the newest of its rows."""

    columns: ClassVar = {"newest": (np.int32, NONE)}
    newest: Codes


class Near:
    """Accepted rows that may still have a near-duplicate, by user and track; each names the one before it in its group."""

    def __init__(self) -> None:
        self.size = 0
        self._lasting = 0
        self._services: dict[str, int] = {}
        self._groups = _Groups()
        self._group = np.zeros(0, np.int32)
        self._before = np.zeros(0, np.int32)
        self._service = np.zeros(0, np.int32)
        self._played_at = np.zeros(0, np.int64)
        self._offset = np.zeros(0, np.int64)

    def judge(self, listens: Listens, tolerance: int) -> Longs:
        """Of listens that would be accepted, in log order: the offset of the row that each is a near-duplicate of, or NONE.

        Those that are none are remembered. Of several rows within the tolerance (ms) the nearest in played_at is meant, of
        equally near ones the earliest in the log.
        """
        entries = self._entries(listens)
        suspect_of = np.full(len(entries), NONE, np.int64)
        first = self._groups.firsts(entries, np.arange(len(entries)))
        # Nearly all: their group has no row yet and no other in this batch, so there is nothing to compare with.
        alone = first & (self._groups.newest[entries] == NONE) & ~np.isin(entries, entries[~first])
        rows = np.flatnonzero(~alone)
        services = self._codes(listens)[rows].tolist()
        groups: dict[int, _Group] = {}
        columns = (entries[rows].tolist(), services, listens.played_at[rows].tolist(), listens.offset[rows].tolist())
        for row, entry, service, played_at, offset in zip(rows.tolist(), *columns, strict=True):
            group = groups.get(entry)
            if group is None:
                group = groups[entry] = self._load(entry)
            suspect_of[row] = nearest = group.nearest(service, played_at, tolerance)
            if nearest == NONE:
                group.add(service, played_at, offset)
        accepted = suspect_of == NONE
        self._append(listens.take(accepted), entries[accepted])
        return suspect_of

    def remember(self, listens: Listens) -> None:
        """Take rows that were judged before, in log order."""
        self._append(listens, self._entries(listens))

    def forget_before(self, instant: int) -> None:
        """Drop rows played before it (epoch ms), once these may be half of all. Housekeeping: no outcome depends on it."""
        if self.size <= 2 * self._lasting + _FEW:
            return
        kept = np.flatnonzero(self._played_at[: self.size] >= instant)
        users, tracks = self._groups.keys(self._group[kept].astype(np.intp))
        columns = (users.view(np.int64), tracks.view(np.int64), self._played_at[kept], self._service[kept])
        rest = Listens(self._offset[kept], *columns, tuple(self._services))
        self.__init__()  # type: ignore[misc]
        self.remember(rest)
        self._lasting = self.size

    def _entries(self, listens: Listens) -> Rows:
        return self._groups.entries(listens.user_id.view(np.uint64), listens.track_id.view(np.uint64))

    def _codes(self, listens: Listens) -> Codes:
        """Services by numbers of our own."""
        codes = [self._services.setdefault(name, len(self._services)) for name in listens.services]
        return np.array(codes, np.int32)[listens.service]

    def _append(self, listens: Listens, entries: Rows) -> None:
        """Rows, in log order, to the end of their groups."""
        order = np.argsort(entries, kind="stable")
        ordered, numbers = entries[order], (self.size + order).astype(np.int32)
        follows = np.zeros(len(order), np.bool_)
        follows[1:] = ordered[1:] == ordered[:-1]
        before = np.empty(len(order), np.int32)
        before[order] = np.where(follows, np.roll(numbers, 1), self._groups.newest[ordered])
        self._groups.newest[ordered] = numbers  # of repeated groups the last assignment stays
        new = slice(self.size, self.size + len(order))
        if new.stop > len(self._offset):
            for name in ("_group", "_before", "_service", "_played_at", "_offset"):
                setattr(self, name, grown(getattr(self, name), new.stop + new.stop // 4))
        self._group[new], self._before[new], self._service[new] = entries, before, self._codes(listens)
        self._played_at[new], self._offset[new] = listens.played_at, listens.offset
        self.size = new.stop

    def _load(self, entry: int) -> "_Group":
        group, row = _Group(), int(self._groups.newest[entry])
        while row != NONE:
            group.add(int(self._service[row]), int(self._played_at[row]), int(self._offset[row]))
            row = int(self._before[row])
        return group


class _Group:
    """The rows of one user and track: by service, sorted, so that many plays of one service cost its own rows nothing."""

    def __init__(self) -> None:
        self._by_service: dict[int, list[tuple[int, int]]] = {}

    def add(self, service: int, played_at: int, offset: int) -> None:
        insort(self._by_service.setdefault(service, []), (played_at, offset))

    def nearest(self, service: int, played_at: int, tolerance: int) -> int:
        """The offset of the nearest row of another service, NONE where none is within the tolerance."""
        best = (tolerance + 1, NONE)
        for other, rows in self._by_service.items():
            if other == service:
                continue
            later = bisect_left(rows, (played_at, NONE))
            if later < len(rows):
                best = min(best, (rows[later][0] - played_at, rows[later][1]))
            if later:
                # Of rows played at one instant the earliest in the log.
                instant = rows[later - 1][0]
                best = min(best, (played_at - instant, rows[bisect_left(rows, (instant, NONE))][1]))
        return best[1] if best[0] <= tolerance else NONE
