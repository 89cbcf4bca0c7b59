"""Near-duplicates: one listen that two services report, each under an id of its own (pure).

    same user and track, another service, played_at within the tolerance, of an accepted row that is itself no near-duplicate

A row is compared with accepted rows only, so there are no chains: what was taken for a copy makes no copies. And since a
row that is late is judged before, a row matters only until the watermark has passed its played_at by grace + tolerance:
minutes, where ids are remembered for hours.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.dedup.index import Longs, Rows
from pipeline.dedup.table import Flags, Table

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

    def take(self, rows: Rows | Flags) -> "Listens":
        """These rows."""
        who, what = self.user_id[rows], self.track_id[rows]
        return Listens(self.offset[rows], who, what, self.played_at[rows], self.service[rows], self.services)


class _Groups(Table):
    """(user, track) → the newest of its rows. Entries are numbered as they are made."""

    columns: ClassVar = {**Table.columns, "newest": np.int32}
    newest: Codes

    def of(self, listens: Listens) -> tuple[Longs, Flags]:
        """The group of each row, and whether there is another row in it, earlier ones or of these."""
        head, tail = listens.user_id.view(np.uint64), listens.track_id.view(np.uint64)
        probe, known = self.find(head, tail), self.size
        numbers = np.arange(known, known + len(probe.made))
        self.widen(known + len(numbers))
        self.enter(probe, numbers, head, tail)
        self.newest[numbers] = NONE
        shared, others = np.zeros(len(head), np.bool_), probe.entry[probe.others]
        shared[probe.others] = True
        shared[probe.made[others[others >= known] - known]] = True
        return probe.entry, shared

    def keys(self, entry: npt.NDArray[np.signedinteger[Any]]) -> tuple[Longs, Longs]:
        """Users and tracks of these groups."""
        return self._head[entry].view(np.int64), self._tail[entry].view(np.int64)


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
        entries, shared = self._groups.of(listens)
        suspect_of = np.full(len(entries), NONE, np.int64)
        rows = np.flatnonzero(shared)
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
        self._append(listens.take(accepted), entries[accepted], shared[accepted])
        return suspect_of

    def remember(self, listens: Listens) -> None:
        """Take rows that were judged before, in log order."""
        self._append(listens, *self._groups.of(listens))

    def forget_before(self, instant: int) -> None:
        """Drop rows played before it (epoch ms), once these may be half of all. Housekeeping: no outcome depends on it."""
        if self.size <= 2 * self._lasting + _FEW:
            return
        kept = np.flatnonzero(self._played_at[: self.size] >= instant)
        users, tracks = self._groups.keys(self._group[kept])
        rest = Listens(self._offset[kept], users, tracks, self._played_at[kept], self._service[kept], tuple(self._services))
        self.__init__()  # type: ignore[misc]
        self.remember(rest)
        self._lasting = self.size

    def _codes(self, listens: Listens) -> Codes:
        """Services by numbers of our own."""
        codes = [self._services.setdefault(name, len(self._services)) for name in listens.services]
        return np.array(codes, np.int32)[listens.service]

    def _append(self, listens: Listens, entries: Longs, shared: Flags) -> None:
        """Rows, in log order, to the end of their groups."""
        numbers = np.arange(self.size, self.size + len(entries), dtype=np.int32)
        before = self._groups.newest[entries]
        rows = np.flatnonzero(shared)
        rows = rows[np.argsort(entries[rows], kind="stable")]
        follows = np.flatnonzero(entries[rows[1:]] == entries[rows[:-1]]) + 1
        before[rows[follows]] = numbers[rows[follows - 1]]
        self._groups.newest[entries] = numbers  # of repeated groups the last assignment stays
        new = slice(self.size, self.size + len(entries))
        if new.stop > len(self._offset):
            for name in ("_group", "_before", "_service", "_played_at", "_offset"):
                setattr(self, name, _grown(getattr(self, name), new.stop + new.stop // 4))
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


def _grown(array: npt.NDArray[Any], capacity: int) -> npt.NDArray[Any]:
    wide = np.empty(capacity, array.dtype)
    wide[: len(array)] = array
    return wide
