"""The questions of `listening top`: ranked artists of any window, from panes or from the published lists.

Times are epoch ms, UTC; windows are half-open [start, end).
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.errors import ListeningError
from pipeline.settings import Settings
from pipeline.store.ask import Asked, rows
from pipeline.store.story import Copy, outcome_totals, story
from pipeline.store.watermarks import Watermarks, watermarks

_NAMES_AT_ONCE = 1000
"""Parameters travel in the URL, which has a limit."""

__all__ = ["Copy", "Place", "Top", "Watermarks", "newest_final", "outcome_totals", "story", "top", "watermarks"]


@dataclass(frozen=True, slots=True)
class Place:
    """A place of a ranked list, from 1. `name` is None where the `artists` topic has none."""

    rank: int
    artist_id: int
    name: str | None
    plays: int


@dataclass(frozen=True, slots=True)
class Top:
    """A ranked list of the window [start_ms, end_ms), which is whole panes.

    `watermark_ms`: the global watermark that the store knows of; `final`: nothing that counts can still come.
    `note` says in a sentence what was rounded or is missing, empty where nothing.
    """

    rows: list[Place]
    start_ms: int
    end_ms: int
    watermark_ms: int
    final: bool
    note: str


def top(settings: Settings, k: int, window_seconds: int, at_ms: int | None = None, asked: Asked = rows) -> Top:
    """The top k artists of a window of any length that ends at any instant, by default at the global watermark.

    End and length are rounded down to whole panes (the length to one at least); `note` says so.
    Raises ListeningError for a k or length that is not positive, UnavailableError without a store.
    """
    if k < 1 or window_seconds < 1 or (at_ms is not None and at_ms < 0):
        raise ListeningError("k and the window's length must be at least 1, and the instant not before 1970")
    known, rules = watermarks(settings, asked), settings.rules
    at = known.classified if at_ms is None else at_ms
    end = at - at % rules.pane_ms
    length = max(rules.pane_ms, window_seconds * 1000 - window_seconds * 1000 % rules.pane_ms)
    start = max(0, end - length)
    found = asked(
        settings,
        """
        SELECT artist_id, sum(plays) AS plays
        FROM artist_counts FINAL
        WHERE pane >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND pane < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
        GROUP BY artist_id HAVING plays > 0
        ORDER BY plays DESC, artist_id ASC
        LIMIT {k:UInt32}
        """,
        {"start": start, "end": end, "k": k},
    )
    notes = []
    if at_ms is not None and end != at:
        notes.append(f"the end {_text(at)} was rounded down to {_text(end)}, a whole pane of {rules.pane_ms // 1000} s")
    if length != window_seconds * 1000:
        notes.append(f"the length {window_seconds} s was rounded to {length // 1000} s, whole panes")
    if not known.classified:
        notes.append("some partition has sent nothing yet, so there is no watermark")
    elif end > known.classified:
        notes.append(f"the window ends after the watermark {_text(known.classified)}: plays are still to come")
    elif end > known.counted:
        behind = _text(known.counted) if known.counted else "nothing"
        notes.append(f"counting is behind, it is whole up to {behind}: plays after that may be missing")
    final = 0 < end <= min(known.classified, known.counted) - rules.grace_ms
    places = _named(settings, asked, [(row["artist_id"], row["plays"]) for row in found])
    return Top(places, start, end, known.classified, final, "; ".join(notes))


def newest_final(settings: Settings, k: int, before_ms: int | None = None, asked: Asked = rows) -> Top | None:
    """The newest published list that is final in every shard, of a window that ends at `before_ms` at the latest.

    None where there is none yet. Raises UnavailableError without a store.
    """
    known, rules = watermarks(settings, asked), settings.rules
    length = settings.window_seconds * 1000
    latest = known.counted - rules.grace_ms
    if before_ms is not None:
        latest = min(latest, before_ms)
    # A shard whose list of the window isn't stored yet must not be taken for one without a play in it: the shards that
    # have plays are asked of the counts, which are whole up to `latest`.
    ends = asked(
        settings,
        """
        SELECT toUnixTimestamp64Milli(window_end) AS end, uniqExact(shard) AS lists
        FROM top_artists FINAL
        WHERE final AND window_end <= fromUnixTimestamp64Milli({latest:Int64}, 'UTC')
        GROUP BY window_end ORDER BY window_end DESC LIMIT 1000
        """,
        {"latest": max(0, latest)},
    )
    for row in ends:
        end, start = row["end"], max(0, row["end"] - length)
        if settings.shards == 1 or row["lists"] == _shards_with_plays(settings, asked, start, end):
            break
    else:
        return None
    found = asked(
        settings,
        """
        SELECT artist_id, plays FROM top_artists_merged
        WHERE final AND window_end = fromUnixTimestamp64Milli({end:Int64}, 'UTC') AND rank <= {k:UInt32} ORDER BY rank
        """,
        {"end": end, "k": k},
    )
    places = _named(settings, asked, [(row["artist_id"], row["plays"]) for row in found])
    note = f"published lists hold {settings.top_k} artists, LISTENING_TOP_K" if k > settings.top_k else ""
    return Top(places, start, end, known.classified, True, note)


def _shards_with_plays(settings: Settings, asked: Asked, start: int, end: int) -> int:
    (row,) = asked(
        settings,
        """
        SELECT uniqExact(artist_id % {shards:Int64}) AS shards FROM artist_counts FINAL
        WHERE plays > 0 AND pane >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
            AND pane < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
        """,
        {"shards": settings.shards, "start": start, "end": end},
    )
    return int(row["shards"])


def _named(settings: Settings, asked: Asked, ranked: list[tuple[int, int]]) -> list[Place]:
    query = "SELECT artist_id, name FROM artists FINAL WHERE has({ids:Array(Int64)}, artist_id)"
    names: dict[int, str] = {}
    for first in range(0, len(ranked), _NAMES_AT_ONCE):
        ids = ",".join(str(int(artist)) for artist, _ in ranked[first : first + _NAMES_AT_ONCE])
        names |= {row["artist_id"]: row["name"] for row in asked(settings, query, {"ids": f"[{ids}]"})}
    return [Place(rank, artist, names.get(artist), plays) for rank, (artist, plays) in enumerate(ranked, 1)]


def _text(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
