"""When people listen: a week of local hours, Monday's midnight first.

That workdays and weekends differ, and weekend days begin later, is measured [Heggli et al. 2021, 2 G streams]; the heights
are an assumption: a quiet night, the way to work, a long evening, Friday the longest.
"""

import numpy as np

from producers.columns import Array

_WORKDAY = [32, 20, 13, 9, 8, 12, 27, 52, 68, 66, 66, 69, 73, 74, 75, 79, 86, 95, 100, 96, 88, 78, 64, 47]
_FRIDAY = [32, 20, 13, 9, 8, 12, 27, 52, 68, 66, 66, 69, 73, 74, 75, 79, 87, 97, 103, 103, 99, 92, 82, 66]
_SATURDAY = [48, 34, 23, 15, 10, 9, 11, 18, 33, 52, 68, 78, 83, 85, 86, 87, 88, 90, 92, 90, 87, 81, 72, 59]
_SUNDAY = [44, 32, 22, 15, 10, 8, 9, 14, 27, 45, 61, 71, 76, 78, 78, 78, 78, 78, 77, 74, 68, 59, 46, 33]
_WEEK = np.array([*_WORKDAY * 4, *_FRIDAY, *_SATURDAY, *_SUNDAY], np.float64)

WEEK_HOURS = 168
_EPOCH_HOURS = 72
"""1970 began on a Thursday."""

FIRST_PLAY_MS = 125_000
"""From a session's begin to the end of its first play, on average: what is heard of a track."""
SESSION_AGE_MS = 1_009_000
"""From a session's begin to the end of one of its plays, on average: eight plays and the gaps between them."""
# Ages are nearly exponential, since sessions go on with the same probability after every play: 16 equally likely ones.
_AGES_HOURS = -np.log1p(-(np.arange(16) + 0.5) / 16) * SESSION_AGE_MS / 3_600_000


def local_hour(instant_ms: int, utc_offsets: Array) -> Array:
    """Hours since Monday's midnight at these offsets from UTC (hours): float64 in [0, 168); `instant_ms` epoch ms."""
    hours: Array = np.mod(instant_ms / 3_600_000 + _EPOCH_HOURS + utc_offsets, WEEK_HOURS)
    return hours


def begins(local_hours: Array) -> Array:
    """How eagerly people begin to listen at these hours of the week: float64, of about 100; linear between full hours."""
    eagerness: Array = np.interp(local_hours, np.arange(WEEK_HOURS + 1), np.append(_WEEK, _WEEK[0]))
    return eagerness


def listening(local_hours: Array) -> Array:
    """How many plays end at these hours of the week if sessions begin as `begins` says: float64, on the same scale."""
    eagerness: Array = begins(np.mod(local_hours - _AGES_HOURS[:, None], WEEK_HOURS)).mean(axis=0)
    return eagerness
