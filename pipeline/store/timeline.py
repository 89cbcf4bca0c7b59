"""Plays over time, from panes: of one artist, or of all together."""

from pipeline.settings import Settings
from pipeline.store.ask import Asked, rows


def timeline(
    settings: Settings, start_ms: int, end_ms: int, step_ms: int, artist_id: int | None = None, asked: Asked = rows
) -> list[tuple[int, int]]:
    """(start of a step, plays in it) for every step of [start, end), which are whole panes; also those without a play."""
    where = "" if artist_id is None else "AND artist_id = {artist:Int64}"
    found = asked(
        settings,
        f"""
        SELECT intDiv(toUnixTimestamp64Milli(pane) - {{start:Int64}}, {{step:Int64}}) AS step, sum(plays) AS plays
        FROM artist_counts FINAL
        WHERE pane >= fromUnixTimestamp64Milli({{start:Int64}}, 'UTC')
            AND pane < fromUnixTimestamp64Milli({{end:Int64}}, 'UTC') {where}
        GROUP BY step
        """,
        {"start": start_ms, "end": end_ms, "step": step_ms} | ({} if artist_id is None else {"artist": artist_id}),
    )
    plays = {row["step"]: row["plays"] for row in found}
    return [(start, plays.get(number, 0)) for number, start in enumerate(range(start_ms, end_ms, step_ms))]


def first_pane(settings: Settings, asked: Asked = rows) -> int:
    """When the run's first pane begins, epoch ms; 0 where it has none."""
    (row,) = asked(settings, "SELECT toUnixTimestamp64Milli(min(pane)) AS first FROM artist_counts")
    return int(row["first"])


def is_known(settings: Settings, artist_id: int, asked: Asked = rows) -> bool:
    """Whether anybody ever played this artist, whatever became of the play, or named it."""
    (row,) = asked(
        settings,
        """
        SELECT (SELECT count() FROM artists WHERE artist_id = {artist:Int64})
            + (SELECT count() FROM (SELECT 1 FROM artist_counts WHERE artist_id = {artist:Int64} LIMIT 1))
            + (SELECT count() FROM (SELECT 1 FROM plays WHERE artist_id = {artist:Int64} LIMIT 1)) AS found
        """,
        {"artist": artist_id},
    )
    return bool(row["found"])
