"""The questions of `listening top`: ranked artists of any window, from panes or from the published lists.

Times are epoch ms, UTC; windows are half-open [start, end).
"""

from pipeline.errors import ListeningError
from pipeline.settings import Settings
from pipeline.store.ask import Asked, rows
from pipeline.store.ranked import Place, Top, places
from pipeline.store.story import Copy, outcome_totals, story
from pipeline.store.watermarks import Watermarks, watermarks
from pipeline.store.window import window_of

__all__ = ["Copy", "Place", "Top", "Watermarks", "newest_final", "outcome_totals", "story", "top", "watermarks"]


def top(settings: Settings, k: int, window_seconds: int, at_ms: int | None = None, asked: Asked = rows) -> Top:
    """The top k artists of a window of any length that ends at any instant, by default at the global watermark.

    End and length are rounded down to whole panes (the length to one at least); `note` says so.
    Raises ListeningError for a k or length that is not positive, UnavailableError without a store.
    """
    if k < 1 or window_seconds < 1 or (at_ms is not None and at_ms < 0):
        raise ListeningError("k and the window's length must be at least 1, and the instant not before 1970")
    known = watermarks(settings, asked)
    window = window_of(settings.rules, known, window_seconds, at_ms)
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
        {"start": window.start_ms, "end": window.end_ms, "k": k},
    )
    ranked = places(settings, asked, [(row["artist_id"], row["plays"]) for row in found])
    return Top(ranked, window.start_ms, window.end_ms, known.classified, window.final, window.note)


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
    ranked = places(settings, asked, [(row["artist_id"], row["plays"]) for row in found])
    note = f"published lists hold {settings.top_k} artists, LISTENING_TOP_K" if k > settings.top_k else ""
    return Top(ranked, start, end, known.classified, True, note)


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
