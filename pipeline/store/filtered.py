"""The top artists among some plays: of a country, of a platform. Panes don't tell them apart, so raw plays are counted."""

from dataclasses import replace

from pipeline.errors import ListeningError
from pipeline.settings import Settings
from pipeline.store.ask import Asked, rows
from pipeline.store.ranked import Top, places
from pipeline.store.watermarks import watermarks
from pipeline.store.window import Window, window_of


def filtered_top(
    settings: Settings,
    k: int,
    window_seconds: int,
    at_ms: int | None = None,
    *,
    country: str | None = None,
    platform: str | None = None,
    asked: Asked = rows,
) -> Top:
    """As `queries.top`, of plays with that country and platform (None: any); accepted ones, by event time.

    Raises ListeningError for a k or length that is not positive, UnavailableError without a store.
    """
    if k < 1 or window_seconds < 1 or (at_ms is not None and at_ms < 0):
        raise ListeningError("k and the window's length must be at least 1, and the instant not before 1970")
    known = watermarks(settings, asked)
    # How far panes are counted says nothing of raw plays.
    window = window_of(settings.rules, replace(known, counted=known.classified), window_seconds, at_ms)
    given = {"start": window.start_ms, "end": window.end_ms, "k": k}
    wanted = {name: value for name, value in (("country", country), ("platform", platform)) if value is not None}
    where, bounds = _ranges(settings, asked, window)
    found = where and asked(
        settings,
        f"""
        SELECT artist_id, count() AS plays
        FROM plays FINAL
        WHERE ({where}) AND outcome = 'accepted'
            AND event_time >= fromUnixTimestamp64Milli({{start:Int64}}, 'UTC')
            AND event_time < fromUnixTimestamp64Milli({{end:Int64}}, 'UTC')
            {"".join(f"AND {name} = {{{name}:String}} " for name in wanted)}
        GROUP BY artist_id
        ORDER BY plays DESC, artist_id ASC
        LIMIT {{k:UInt32}}
        """,
        given | wanted | bounds,
    )
    ranked = places(settings, asked, [(row["artist_id"], row["plays"]) for row in found or []])
    return Top(ranked, window.start_ms, window.end_ms, known.classified, window.final, window.note)


def _ranges(settings: Settings, asked: Asked, window: Window) -> tuple[str, dict[str, int]]:
    """Where in the source log a window's accepted plays lie, as a condition and its parameters: the table is ordered by
    that, not by time. Empty where there can be none.

    The watermark after a play is never below its event time, so no play lies before the first batch that reached the
    window's start. And it is at most the grace above it, or the play were late: so none lies behind the first batch that
    got that far past the end. E.g. window [60, 120), grace 10, batches that end at watermarks 50, 70, 125, 131, 140: the
    second to fourth.
    """
    found = asked(
        settings,
        """
        SELECT
            source_partition AS partition,
            minIf(first_offset, watermark >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')) AS first,
            if(max(watermark) < fromUnixTimestamp64Milli({beyond:Int64}, 'UTC'), max(last_offset),
                minIf(last_offset, watermark >= fromUnixTimestamp64Milli({beyond:Int64}, 'UTC'))) AS last
        FROM batches FINAL GROUP BY partition
        HAVING max(watermark) >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
        """,
        {"start": window.start_ms, "beyond": window.end_ms + settings.rules.grace_ms},
    )
    parts, bounds = list[str](), dict[str, int]()
    for n, row in enumerate(found):
        parts.append(
            f"source_partition = {{p{n}:UInt16}} AND source_offset BETWEEN {{first{n}:UInt64}} AND {{last{n}:UInt64}}"
        )
        bounds |= {f"p{n}": row["partition"], f"first{n}": row["first"], f"last{n}": row["last"]}
    return " OR ".join(f"({part})" for part in parts), bounds
